"""Stored metadata as JSON and as a Struct: the same, in slices of any size."""

from typing import Any

import bson
import orjson
import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from gateway.transcoding import json_encoder
from server.merge.field_names import escape_key
from server.services.stored_metadata import VALUES_PER_MAP, AsJson, AsStruct, Translation

_SCALARS = st.none() | st.booleans() | st.text(max_size=3) | st.floats(allow_nan=False, allow_infinity=False)
_INTEGERS = st.integers(-(2**53), 2**53) | st.sampled_from([2**62, -(2**63), 2**54 + 2])
_KEYS = st.sampled_from(["", "a", "b.c", "$set", "0", "%", "é", "\0"])
_VALUES = st.recursive(
    _SCALARS | _INTEGERS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4)
)


def _stored(value: Any) -> Any:
    if isinstance(value, dict):
        return {escape_key(key): _stored(item) for key, item in value.items()}
    return [_stored(item) for item in value] if isinstance(value, list) else value


def _objects(value: Any) -> int:
    """The number of objects in a value, including the value itself."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return isinstance(value, dict) + sum(map(_objects, inner))


@given(metadata=st.dictionaries(_KEYS, _VALUES, max_size=4), slice_=st.integers(1, 7))
def test_both_translations_print_the_same_json_in_any_slices(metadata: dict[str, Any], slice_: int) -> None:
    stored = bson.decode(bson.encode(_stored(metadata)))
    as_json, struct = AsJson(stored), Struct()
    as_struct = AsStruct(stored, struct)
    translations: list[Translation] = [as_json, as_struct]
    visited: list[int] = []
    for translation, object_ in zip(translations, (0, VALUES_PER_MAP), strict=True):
        values = [slice_]
        while values[-1] >= slice_:
            values.append(translation.work(slice_))
        assert max(values) <= slice_ + object_
        visited.append(sum(values))
    assert visited[1] == visited[0] + VALUES_PER_MAP * _objects(list(metadata.values()))
    # JSON keeps the stored order. A Struct has no order.
    assert list(as_json.done) == list(metadata)
    options = orjson.OPT_SORT_KEYS
    assert orjson.dumps(as_json.done, option=options) == orjson.dumps(json_encoder.plain(struct), option=options)


@pytest.mark.parametrize(
    ("stored", "printed"),
    [
        (24000, "24000"),
        (24000.0, "24000"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (2**53 + 1, "9007199254740992"),
        (2**63 - 1, "9.223372036854775808e18"),
        (-(2**63), "-9.223372036854775808e18"),
        (1e300, "1e300"),
    ],
)
def test_a_number_is_printed_as_the_double_that_it_is(stored: float, printed: str) -> None:
    translation = AsJson(bson.decode(bson.encode({"n": stored})))
    translation.work(10)
    assert orjson.loads(orjson.dumps(translation.done)) == {"n": float(printed)}
    text = orjson.dumps(translation.done["n"]).decode()
    assert ("." in text or "e" in text) == ("." in printed or "e" in printed), text
