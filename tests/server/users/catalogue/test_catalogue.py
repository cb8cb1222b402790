"""Catalogues of metadata equal an independent computation, within bounds, and hold no value."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import limits
from server.merge.field_names import escape_key
from server.query.grammar import parse_paths
from server.users.catalogue import builder, listing
from server.users.catalogue.builder import CatalogueBuilder
from server.users.catalogue.listing import CataloguePath, Listing
from server.users.catalogue.strings import Shape, is_personal

_WILD = "*"


def stored(value: Any) -> Any:
    """A value as it is stored."""
    if isinstance(value, dict):
        return {escape_key(key): stored(item) for key, item in value.items()}
    return value


def built(profiles: Sequence[Mapping[str, Any]]) -> tuple[CatalogueBuilder, Listing, int]:
    """The builder and the listing of these profiles, and after how many slices others had a turn."""
    made, slices = CatalogueBuilder(), 0
    for metadata in profiles:
        slices += sum(1 for _ in made.add(stored(metadata)))
    slices += sum(1 for _ in made.finish())
    listed = Listing(made.root)
    slices += sum(1 for _ in listed.collect())
    return made, listed, slices


def catalogue(*profiles: Mapping[str, Any]) -> dict[str, CataloguePath]:
    """The paths of the catalogue of these profiles."""
    found = [*built(profiles)[1].paths()]
    paths = {each.path: each for each in found}
    assert len(paths) == len(found)
    return paths


def test_a_path_says_who_has_it_and_what_its_values_look_like() -> None:
    paths = catalogue(
        {"email": "john@acme.com", "sales": {"value": 24000, "stage": "Lead"}, "tags": ["a", None, {"b": 1}]},
        {"email": "mary@acme.com", "sales": {"value": -0.5}, "tags": []},
        {"email": "", "sales": {"value": 0}},
        {},
    )
    assert list(paths) == [
        *("metadata.email", "metadata.sales", "metadata.sales.stage", "metadata.sales.value", "metadata.tags"),
    ]
    email, value, tags = (paths[f"metadata.{name}"] for name in ("email", "sales.value", "tags"))
    assert (email.users, email.types) == (3, [("string", 3)])
    assert email.shapes == [(Shape("email_address"), 2), (Shape("empty"), 1)]
    assert value.numbers is not None
    assert (value.numbers.integers, value.numbers.negatives, value.numbers.zeros) == (2, 1, 1)
    assert (value.numbers.smallest, value.numbers.largest) == (-1, 4)
    assert tags.types == [("array", 1), ("empty_array", 1)]
    assert tags.elements == [("null", 1), ("object", 1), ("string", 1)]
    assert tags.lengths == [(10, 1)]
    assert not any(each.has_conflict or each.has_wildcard or each.keys for each in paths.values())


@pytest.mark.parametrize(
    ("values", "is_conflict"),
    [
        (["x", 1], True),
        ([True, 1], True),
        ([{}, "x"], True),
        ([[], "x"], True),
        ([{}, []], True),
        ([{}, {"a": 1}], False),
        ([[], [1], ["x"]], False),
        ([1, 1.5, 2**53], False),
        ([True, False], False),
    ],
)
def test_values_of_different_types_are_a_conflict(values: Sequence[Any], is_conflict: bool) -> None:
    assert catalogue(*({"a": value} for value in values))["metadata.a"].has_conflict == is_conflict


def test_a_key_that_may_be_personal_is_not_shown() -> None:
    paths = catalogue({"by": {"john@acme.com": {"n": 1}, "mary@acme.com": {"n": 2}, "total": 3}}, {"by": {"4711": "x"}})
    assert list(paths) == [
        *("metadata.by", "metadata.by.*", "metadata.by.*.n", "metadata.by.total"),
    ]
    rest = paths["metadata.by.*"]
    assert (rest.users, rest.keys, rest.types, rest.has_wildcard) == (2, 3, [("object", 2), ("string", 1)], True)
    # Values of different keys need not have one type.
    assert not rest.has_conflict
    inside = paths["metadata.by.*.n"]
    assert (inside.users, inside.keys, inside.types, inside.has_wildcard) == (1, 0, [("number", 2)], True)
    assert not paths["metadata.by.total"].has_wildcard


def test_the_rare_keys_of_an_object_with_many_are_one_path() -> None:
    profiles = [{"likes": {"all": 1, "half": number} if number % 2 else {"all": 1}} for number in range(200)]
    for number, profile in enumerate(profiles):
        profile["likes"] |= {"one of " + "abcdefghij"[number % 10] + "x" * (number // 10): True}
        profile["likes"] |= {"few of " + "y" * (number // 2): True}
    paths = catalogue(*profiles)
    assert list(paths) == [
        *("metadata.likes", "metadata.likes.*", "metadata.likes.all", "metadata.likes.half"),
    ]
    rest = paths["metadata.likes.*"]
    assert (rest.users, rest.types, rest.keys) == (200, [("boolean", 400)], 200 + 100)
    assert paths["metadata.likes.half"].users == 100


def test_the_keys_of_few_users_are_shown_unless_they_are_very_many() -> None:
    def keys(count: int) -> dict[str, int]:
        return {"k" + "".join("abcdefghij"[int(digit)] for digit in str(number)): 1 for number in range(count)}

    assert len(catalogue({"a": keys(1_000)})) == 1_001
    assert list(catalogue({"a": keys(1_001)})) == ["metadata.a", "metadata.a.*"]


def test_there_are_few_shapes_of_a_path() -> None:
    texts = ["AB-1", "AB-12", "AB-123", "AB-1234", "A-1", "1", "x"]
    shapes = catalogue(*({"a": text} for text in texts))["metadata.a"].shapes
    assert shapes == [(Shape("code"), 5), (Shape("digits"), 1), (Shape("short_text"), 1)]
    texts = ["x", "x", "a@b.cd", "https://a", "2026-01-31", "::1", "+1234567"]
    shapes = catalogue(*({"a": text} for text in texts))["metadata.a"].shapes
    assert shapes[0] == (Shape("short_text"), 2)
    assert len(shapes) == listing.SHAPES
    assert shapes[-1] == (Shape("other"), 2)
    many = [f"{'A' * (number % 20 + 1)}-{'1' * (number // 20 + 1)}" for number in range(60)]
    assert catalogue(*({"a": text} for text in many))["metadata.a"].shapes == [(Shape("code"), 60)]


def test_the_most_frequent_paths_are_listed_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PATHS", 4)
    _, listed, _ = built([{"b": {"c": 1}, "a": 1, "d": 2, "z": 1}, {"b": {"c": 1}, "z": 1}])
    assert [each.path for each in listed.paths()] == ["metadata.a", "metadata.b", "metadata.b.c", "metadata.z"]
    assert listed.has_more
    monkeypatch.setattr(listing, "PATHS", 5)
    _, listed, _ = built([{"b": {"c": 1}, "a": 1, "d": 2, "z": 1}, {"b": {"c": 1}, "z": 1}])
    assert not listed.has_more


def test_a_long_path_is_left_out_and_that_is_said() -> None:
    metadata: dict[str, Any] = {"last": 1}
    for _ in range(19):
        metadata = {"é" * 64: metadata}
    _, listed, _ = built([metadata])
    paths = [each.path for each in listed.paths()]
    assert len(paths) == 7
    assert max(len(path.encode()) for path in paths) <= listing.PATH_BYTES
    assert listed.has_more


_KEYS = st.sampled_from(
    [
        "a",
        "b",
        "a.b",
        "$set",
        "",
        "%2E",
        "a\0b",
        "é",
        "AND",
        "*",
        "x y",
        '"',
        "\\",
        "1",
        "j@x.y",
        "k" * 65,
        "2024-01-01",
    ]
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.dictionaries(_KEYS, inner, max_size=4) | st.lists(inner | st.none(), max_size=3),
    max_leaves=12,
)
_PROFILES = st.lists(st.dictionaries(_KEYS, _VALUES, max_size=5), max_size=6)


def _type(value: Any) -> str:
    if isinstance(value, dict | list):
        return ("empty_" if not value else "") + ("object" if isinstance(value, dict) else "array")
    return "boolean" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"


def _values(metadata: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value but those in arrays, with its path."""
    for key, value in metadata.items():
        yield (*path, key), value
        if isinstance(value, dict):
            yield from _values(value, (*path, key))


def _expected(profiles: Sequence[Mapping[str, Any]]) -> Mapping[tuple[str, ...], tuple[set[int], Counter[str]]]:
    found: dict[tuple[str, ...], tuple[set[int], Counter[str]]] = {}
    for user, metadata in enumerate(profiles):
        for path, value in _values(metadata):
            shown = tuple(_WILD * 2 if is_personal(key) else key for key in path)
            users, types = found.setdefault(shown, (set(), Counter()))
            users.add(user)
            types[_type(value)] += 1
    return found


def _parts(path: str) -> tuple[str, ...]:
    """The keys of a path in the notation of filters; a wildcard is two asterisks."""
    # Only a wildcard follows a dot.
    written = re.sub(r"\.\*(?=[.\[]|$)", '["**"]', path)
    (listed,) = parse_paths(written, "fields")
    return tuple(listed.path[1:])


@given(_PROFILES)
@settings(max_examples=60)
def test_a_catalogue_equals_an_independent_computation(profiles: list[dict[str, Any]]) -> None:
    found = {
        _parts(each.path): (each.users, dict(each.types), each.has_wildcard) for each in catalogue(*profiles).values()
    }
    assert found == {
        path: (len(users), dict(types), _WILD * 2 in path) for path, (users, types) in _expected(profiles).items()
    }


@given(_PROFILES)
@settings(max_examples=30)
def test_a_catalogue_does_not_depend_on_the_order_of_the_profiles(profiles: list[dict[str, Any]]) -> None:
    assert catalogue(*profiles) == catalogue(*profiles[::-1])


_WORDS = st.text("abcde", min_size=1, max_size=3)
_MAPS = st.lists(
    st.dictionaries(_WORDS, st.dictionaries(_WORDS, st.just(1) | st.just("x"), max_size=6), max_size=12), max_size=12
)


@given(_MAPS)
@settings(max_examples=60)
def test_what_is_united_is_counted_exactly(profiles: list[dict[str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(builder, "NODES", 30)
        patched.setattr(builder, "NODES_WITHIN_PROFILE", (90, 60))
        made, listed, _ = built(profiles)
        found = {_parts(each.path): each for each in listed.paths()}
    # Each node may have a wildcard beyond the limit.
    assert made._nodes <= 2 * 90
    shown = {path[0] for path in found if len(path) == 1} - {_WILD * 2}
    for key in shown:
        assert found[key,].users == sum(key in profile for profile in profiles)
    rest = [profile.keys() - shown for profile in profiles]
    assert ((_WILD * 2,) in found) == any(rest)
    if any(rest):
        wild = found[_WILD * 2,]
        assert wild.users == sum(map(bool, rest))
        assert wild.keys == len(set().union(*rest))
        assert sum(count for _, count in wild.types) == sum(map(len, rest))
    values = [value for profile in profiles for _, value in _values(profile)]
    assert sum(count for each in found.values() for _, count in each.types) == len(values)


def test_the_paths_and_keys_that_are_held_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "NODES", 500)
    monkeypatch.setattr(builder, "NODES_WITHIN_PROFILE", (2_000, 1_000))
    monkeypatch.setattr(builder, "KEYS", 5_000)

    def word(number: int) -> str:
        return "".join("abcdefghij"[int(digit)] for digit in str(number))

    usual = [{"email": "x", "plan": {"name": "pro"}} for _ in range(20)]
    dense = [{"by": {word(number * 3_000 + key): {"n": 1} for key in range(2_400)}} for number in range(3)]
    made, listed, slices = built([*usual, *dense])
    assert made._nodes <= builder.NODES
    paths = {each.path: each for each in listed.paths()}
    assert list(paths) == [
        *("metadata.by", "metadata.by.*", "metadata.by.*.n", "metadata.email", "metadata.plan", "metadata.plan.name"),
    ]
    assert paths["metadata.by.*"].types == [("object", 7_200)]
    # As many as are counted in all.
    assert paths["metadata.by.*"].keys == pytest.approx(builder.KEYS, rel=0.05)
    # 14,400 values.
    assert slices >= 14_400 * 8 // limits.SLICE_WORK


@settings(max_examples=20)
@given(_PROFILES, st.text("qwxz", min_size=8, max_size=12))
def test_a_catalogue_holds_no_value(profiles: list[dict[str, Any]], marker: str) -> None:
    profile = {"a": marker, "b": [marker], "c": {"d": {"e": f"{marker}-1"}}, f"{marker}@acme.com": 1, "n": 8642}
    paths = catalogue(*profiles, profile)
    text = json.dumps([(each.path, each.types, each.shapes, each.elements, each.lengths) for each in paths.values()])
    assert marker not in text
    assert "8642" not in text
