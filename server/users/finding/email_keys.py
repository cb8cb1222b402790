"""The keys by which users are found by their email addresses: the same for all forms of one address.

An address has a key even if it conforms to no standard, such as `a..b@docomo.ne.jp`, `"a b"@acme.com` or `a@nas.local`.
"""

import string
from collections.abc import Sequence
from typing import Final
from unicodedata import normalize

import idna

ADDRESS_LENGTH: Final = 254
"""The characters that an address has at most (RFC 5321, erratum 1690)."""

_ASCII_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_PUNYCODE: Final = "xn--"


def irregular_key(text: str) -> str | None:
    """The key of an address that conforms to no standard; None if nothing in `text` looks like an address."""
    # Blanks around it are not counted, up to as many.
    address = text.strip() if len(text) <= 2 * ADDRESS_LENGTH else ""
    if "@" not in address[1:-1] or len(address) > ADDRESS_LENGTH:
        return None
    return _key(address)


def migrated_keys(text: str) -> Sequence[str]:
    """The keys that a migration has given to such an address, in the forms of Unicode in which it may be stored.

    MongoDB knows the lower case of ASCII letters alone: others are tried as they are, and in lower and upper case.
    """
    address = text.strip()
    if address.isascii():
        return [address.lower()]
    text = normalize("NFC", address)
    return [*dict.fromkeys(form for each in (address, text.lower(), text.upper()) for form in _sent_forms(each))]


def key_prefixes(text: str) -> Sequence[str]:
    """What the keys of addresses begin with that begin with `text`, in order. None of them begins with another one."""
    beginning = text.strip()
    if not beginning:
        return []
    # Keys of earlier versions have the form that was sent.
    found = {*_sent_forms(beginning)}
    if not _is_plain(beginning):
        found |= {_key(beginning), *_with_ascii_domain(beginning)}
    shortest: list[str] = []
    for each in sorted(found):
        if not (shortest and each.startswith(shortest[-1])):
            shortest.append(each)
    return shortest


def composed(text: str) -> str:
    """The text in lower case and in composed Unicode (NFC)."""
    return text.lower() if text.isascii() else normalize("NFC", normalize("NFC", text).lower())


def _sent_forms(text: str) -> Sequence[str]:
    """The text with its ASCII letters in lower case, and the same in composed and decomposed Unicode."""
    lower = text.translate(_ASCII_LOWER)
    return lower, normalize("NFC", lower), normalize("NFD", lower)


def _key(address: str) -> str:
    if _is_plain(address):
        return address.lower()
    local, at, domain = address.rpartition("@")
    return f"{composed(local)}@{_in_unicode(domain)}" if at else composed(domain)


def _is_plain(address: str) -> bool:
    return address.isascii() and _PUNYCODE not in address.lower()


def _in_unicode(domain: str) -> str:
    try:
        return idna.decode(domain, uts46=True).lower()
    except idna.IDNAError:
        return composed(domain)


def _with_ascii_domain(address: str) -> Sequence[str]:
    local, at, domain = address.rpartition("@")
    if not at or not domain:
        return []
    try:
        ascii_domain = idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return []
    return [f"{each}@{ascii_domain}" for each in _sent_forms(local)]
