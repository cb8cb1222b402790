"""Whom a request is from, behind proxies."""

import pytest

from gateway.proxies import TrustedProxies, canonical_address

PROXIES = TrustedProxies(["10.0.0.0/8", "2001:db8::1", "192.0.2.1"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", b"198.51.100.1", "203.0.113.9"),
        ("10.1.2.3", None, "10.1.2.3"),
        ("10.1.2.3", b"198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", b"invented, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.1.2.3", b"10.0.0.7,10.0.0.8", "10.0.0.7"),
        ("2001:DB8:0::1", b"2001:db8:1::5", "2001:db8:1::5"),
        ("192.0.2.1", b"198.51.100.1:4711", "198.51.100.1"),
        ("192.0.2.1", b"[2001:db8:1:0::5]:80", "2001:db8:1::5"),
        ("192.0.2.1", b"unknown", ""),
        ("192.0.2.1", b"198.51.100.1, unknown", ""),
        ("192.0.2.1", b"198.51.100.1,", "198.51.100.1"),
        ("192.0.2.1", b" ,198.51.100.1, ,\t,", "198.51.100.1"),
        ("192.0.2.1", b", ,", "192.0.2.1"),
        ("192.0.2.1", b"", "192.0.2.1"),
        ("", b"198.51.100.1", ""),
    ],
)
def test_the_first_address_from_the_right_that_is_no_trusted_proxy_is_the_client(
    peer: str, forwarded: bytes | None, client: str
) -> None:
    headers = {} if forwarded is None else {b"x-forwarded-for": forwarded}
    assert PROXIES.client(peer, headers) == client


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", b"for=198.51.100.1", "203.0.113.9"),
        ("10.1.2.3", b"for=198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", b'For="198.51.100.1:4711";proto=https;by=10.0.0.1', "198.51.100.1"),
        ("10.1.2.3", b'by=10.0.0.1; for="[2001:db8:1:0::5]:80"', "2001:db8:1::5"),
        ("10.1.2.3", b'for="[2001:db8:1::5]"', "2001:db8:1::5"),
        ("10.1.2.3", b"for=invented, for=198.51.100.1,for=10.9.9.9", "198.51.100.1"),
        ("10.1.2.3", b'for="a, for=192.0.2.66", for=198.51.100.1', "198.51.100.1"),
        ("10.1.2.3", b'host="x;for=192.0.2.66";for=198.51.100.1', "198.51.100.1"),
        ("10.1.2.3", b'host="x;for=192.0.2.66;";for=198.51.100.1', "198.51.100.1"),
        ("10.1.2.3", b"for=198.51.100.1, for=_hidden", ""),
        ("10.1.2.3", b"for=198.51.100.1, for=unknown", ""),
        ("10.1.2.3", b"for=198.51.100.1, proto=https", ""),
        ("10.1.2.3", b'for="198.51.100.1', ""),
        ("10.1.2.3", b"for=10.0.0.7, for=10.0.0.8", "10.0.0.7"),
        ("10.1.2.3", b",", "10.1.2.3"),
    ],
)
def test_forwarded_tells_the_same(peer: str, forwarded: bytes, client: str) -> None:
    assert PROXIES.client(peer, {b"forwarded": forwarded}) == client


def test_where_both_are_there_the_usual_one_counts() -> None:
    headers = {b"x-forwarded-for": b"198.51.100.1", b"forwarded": b"for=192.0.2.66"}
    assert PROXIES.client("10.1.2.3", headers) == "198.51.100.1"


def test_nobody_is_trusted_by_default() -> None:
    assert TrustedProxies([]).client("127.0.0.1", {b"x-forwarded-for": b"198.51.100.1"}) == "127.0.0.1"


@pytest.mark.parametrize(("text", "address"), [("2001:DB8:0:0::5", "2001:db8::5"), ("1.2.3", ""), ("", "")])
def test_an_address_has_one_form(text: str, address: str) -> None:
    assert canonical_address(text) == address
