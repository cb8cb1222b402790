"""Where a request comes from: what is believed of what callers send."""

import re

import pytest

from runtime.reporting.origin import (
    Addresses,
    Origin,
    fields_of,
    new_request_id,
    origin,
    origin_from_metadata,
    unpacked,
    valid_traceparent,
    with_origins_of_items,
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NEW = re.compile("[0-9a-f]{24}")


@pytest.mark.parametrize("sent", ["1", "a" * 128, "Root=1-67891233-abcdef012345678912345678", "a.b_c~d:e+f/g=h-i"])
def test_a_request_id_of_the_caller_is_kept(sent: str) -> None:
    assert origin(sent).request_id == sent


@pytest.mark.parametrize("sent", ["", "a" * 129, "a b", "a\n", "a\r\nx: y", "john@acmeinc.com", '"', "\x7f", "é", "٣"])
def test_anything_else_is_replaced(sent: str) -> None:
    assert NEW.fullmatch(origin(sent).request_id)


def test_new_request_ids_differ() -> None:
    assert len({new_request_id() for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (TRACE, TRACE),
        # A later version may have more fields.
        (f"01{TRACE[2:]}-more", TRACE),
        (f"ff{TRACE[2:]}", ""),
        (TRACE.upper(), ""),
        (TRACE[:-1], ""),
        (f"{TRACE}0", ""),
        (f"{TRACE}-{'x' * 600}", ""),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", ""),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", ""),
        ("john@acmeinc.com", ""),
    ],
)
def test_a_traceparent_has_the_form_of_the_standard(sent: str, kept: str) -> None:
    assert valid_traceparent(sent) == kept
    assert origin("1", sent).trace_id == kept[3:35]


def test_a_call_passes_on_what_a_gateway_knows() -> None:
    known = Origin("r-1", TRACE, "curl/1")
    assert origin_from_metadata([("user-agent", "grpc-go/1"), *known.metadata()]) == known
    assert origin_from_metadata([("user-agent", "grpc-go/1"), ("x-request-id", "r-1")]) == Origin(
        "r-1", "", "grpc-go/1"
    )
    assert origin_from_metadata([("x-request-id", b"r-1")]).request_id != "r-1"


@pytest.mark.parametrize(
    "known", [Origin("r-1"), Origin("r-1", TRACE), Origin("r-1", "", "curl/1"), Origin("r-1", TRACE, "curl/1")]
)
def test_an_origin_is_packed_into_one_string(known: Origin) -> None:
    assert unpacked(known.packed()) == known


@pytest.mark.parametrize(
    "packed", ["", " ", "x y z\n", "john@acmeinc.com john@acmeinc.com john@acmeinc.com", "-" * 9999]
)
def test_what_is_no_packed_origin_leaves_nothing(packed: str) -> None:
    found = unpacked(packed)
    assert found.traceparent == ""
    assert found.client_library in ("", "other")
    assert len(found.request_id) <= 128
    assert "@" not in found.request_id


def test_a_call_for_several_requests_has_their_ids() -> None:
    call = Origin("of the call", application="app", credential="c")
    assert with_origins_of_items(call, []) is call
    one = with_origins_of_items(call, [f"r-{number}" for number in range(1000)])
    assert (one.application, one.credential) == ("app", "c")
    assert fields_of([one]) == {"application": "app", "request_ids": [f"r-{number}" for number in range(20)]}


@pytest.mark.parametrize(
    ("shown", "address", "expected"),
    [
        ("none", "192.0.2.7", ""),
        ("truncated", "192.0.2.7", "192.0.2.0/24"),
        ("truncated", "2001:db8:1:2::3", "2001:db8:1::/48"),
        ("truncated", "::1", "::/48"),
        ("full", "192.0.2.7", "192.0.2.7"),
        ("full", "2001:db8::3", "2001:db8::3"),
        ("full", "john@acmeinc.com", ""),
        ("truncated", "", ""),
        ("full", None, ""),
    ],
)
def test_as_much_of_an_address_is_shown_as_the_settings_say(shown: str, address: str | None, expected: str) -> None:
    assert Addresses(shown).shown(address) == expected
