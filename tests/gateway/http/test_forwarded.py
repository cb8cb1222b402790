"""The address of a client behind proxies."""

import pytest

from gateway.http.forwarded import HOPS, TrustedProxies, _canonical, canonical_address

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
def test_forwarded_is_read_in_the_same_way(peer: str, forwarded: bytes, client: str) -> None:
    assert PROXIES.client(peer, {b"forwarded": forwarded}) == client


def test_x_forwarded_for_takes_precedence_over_forwarded() -> None:
    headers = {b"x-forwarded-for": b"198.51.100.1", b"forwarded": b"for=192.0.2.66"}
    assert PROXIES.client("10.1.2.3", headers) == "198.51.100.1"


def test_nobody_is_trusted_by_default() -> None:
    assert TrustedProxies([]).client("127.0.0.1", {b"x-forwarded-for": b"198.51.100.1"}) == "127.0.0.1"


@pytest.mark.parametrize(("text", "address"), [("2001:DB8:0:0::5", "2001:db8::5"), ("1.2.3", ""), ("", "")])
def test_an_address_has_one_canonical_form(text: str, address: str) -> None:
    assert canonical_address(text) == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:207", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1%" + "a" * 10_000, ""),
        ("1" * 10_000, ""),
    ],
)
def test_a_mapped_address_is_its_ipv4_address_and_a_zone_is_removed(text: str, address: str) -> None:
    assert canonical_address(text) == address


@pytest.mark.parametrize("proxy", ["192.0.2.0/24", "::ffff:192.0.2.0/120", "::ffff:192.0.2.1"])
@pytest.mark.parametrize("peer", ["192.0.2.1", "::ffff:192.0.2.1"])
def test_a_mapped_address_is_trusted_as_its_ipv4_address(proxy: str, peer: str) -> None:
    proxies = TrustedProxies([proxy])
    for sent in (b"198.51.100.1", b"::ffff:198.51.100.1", b"[::ffff:198.51.100.1]:80, ::ffff:192.0.2.1"):
        assert proxies.client(peer, {b"x-forwarded-for": sent}) == "198.51.100.1"
        assert proxies.client("::ffff:203.0.113.9", {b"x-forwarded-for": sent}) == "203.0.113.9"


OWN = 'for="[2001:db8::7]:4711"'


@pytest.mark.parametrize(
    "invented",
    [
        'for=198.51.100.66;by="',
        'for=198.51.100.66;by="\\',
        'for=198.51.100.66;by="\\"',
        'for=198.51.100.66, by="x',
        '"',
        '""',
        '"""',
        '=";=',
        "\\",
        ",,,",
        'for="',
        'for="198.51.100.66',
        "a" * 60_000,
        '"' * 60_000,
        '\\"' * 30_000,
        "\\" * 60_000,
        "," * 60_000,
        'for="a",' * 7_500,
    ],
)
@pytest.mark.parametrize(
    "own", [OWN, f'host="a,b;for=198.51.100.66";{OWN};by="\\"\\\\"', OWN.replace("for", "FOR") + ";proto=https"]
)
@pytest.mark.parametrize("between", [", ", ",", "\n"])
def test_no_value_of_a_client_hides_or_changes_what_its_proxy_adds(invented: str, own: str, between: str) -> None:
    headers = {b"forwarded": f"{invented}{between}{own}".encode("latin-1")}
    assert PROXIES.client("10.1.2.3", headers) == "2001:db8::7"
    headers = {b"forwarded": f"{invented}{between}{own}, for=10.9.9.9{between}for=10.9.9.8".encode("latin-1")}
    assert PROXIES.client("10.1.2.3", headers) == "2001:db8::7"


@pytest.mark.parametrize(
    "forwarded",
    [
        'for="198.51.100.66',
        'for=198.51.100.66"',
        'for="198.51.100.66"x',
        'for="198.51.100.66" ;by=x y="',
        "for=198.51.100.66;for=198.51.100.67",
        "for",
        "=198.51.100.66",
        'for="[198.51.100.66"',
        "for=[2001:db8::7]x",
        'by="' + "a" * 1100 + '";for=198.51.100.66',
    ],
)
def test_a_malformed_element_has_no_address(forwarded: str) -> None:
    assert PROXIES.client("10.1.2.3", {b"forwarded": f"for=198.51.100.1, {forwarded}".encode()}) == ""


def test_a_quoted_value_may_hold_separators_and_escapes() -> None:
    sent = b'for=192.0.2.66, host="a,b\\"c\\\\";for="198.51.100\\.1"'
    assert PROXIES.client("10.1.2.3", {b"forwarded": sent}) == "198.51.100.1"


@pytest.mark.parametrize(("name", "hop"), [(b"x-forwarded-for", b"10.0.0.%d"), (b"forwarded", b"for=10.0.0.%d")])
def test_the_number_of_hops_has_a_limit(name: bytes, hop: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []

    def look(hop: str) -> str:
        looked_at.append(hop)
        return hop

    monkeypatch.setattr("gateway.http.forwarded.canonical_address", look)
    sent = b",".join(hop % (number % 256) for number in range(5000))
    assert PROXIES.client("10.1.2.3", {name: sent}) == f"10.0.0.{(5000 - HOPS) % 256}"
    assert len(looked_at) == HOPS + 1


def test_no_cache_has_keys_without_a_limit() -> None:
    before = _canonical.cache_info().currsize
    assert canonical_address("9" * 65) == ""
    assert _canonical.cache_info().currsize == before
