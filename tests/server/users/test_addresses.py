import pytest

from server.users import addresses
from server.users.addresses import address_of_peer, client_address, is_ip_address


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("1.2.3.4", True),
        ("2001:db8::1", True),
        ("::ffff:1.2.3.4", True),
        ("fe80::1%eth0", True),
        ("unknown", False),
        ("", False),
        ("fe80::1%" + "x" * 57, False),
    ],
)
def test_addresses_are_distinguished_from_other_strings(text: str, is_one: bool) -> None:
    assert is_ip_address(text) is is_one


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("::FFFF:102:304", "1.2.3.4"),
        ("0:0:0:0:0:ffff:1.2.3.4", "1.2.3.4"),
        ("::1.2.3.4", "::102:304"),
        ("1.2.3.4:80", None),
        ("unknown", None),
    ],
)
def test_an_ipv4_address_in_ipv6_is_stored_as_the_ipv4_address(text: str, stored: str | None) -> None:
    assert client_address(text) == stored


@pytest.mark.parametrize(
    ("peer", "stored"),
    [
        ("ipv4:192.0.2.1:4711", "192.0.2.1"),
        ("ipv6:[2001:db8::1]:4711", "2001:db8::1"),
        ("ipv6:%5B2001:db8::1%5D:4711", "2001:db8::1"),
        ("ipv6:[::ffff:192.0.2.1]:4711", "192.0.2.1"),
        ("unix:/tmp/socket", None),
        ("ipv6:" + "[" * 1000, None),
    ],
)
def test_the_address_of_a_peer(peer: str, stored: str | None) -> None:
    assert address_of_peer(peer) == stored


def test_no_string_that_is_longer_than_an_address_is_cached() -> None:
    caches = [addresses._address, addresses._client_address, addresses._address_of_peer]
    before = [cache.cache_info() for cache in caches]
    for text in ("1" * 65, "fe80::1%" + "x" * 20_000_000, "ipv4:" + "1" * 200):
        assert not is_ip_address(text)
        assert client_address(text) is None
        assert text[129:] == "" or address_of_peer(text) is None
    assert [cache.cache_info() for cache in caches] == before
