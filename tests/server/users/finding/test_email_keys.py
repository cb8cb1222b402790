"""The keys of email addresses: one for all forms of an address, also of those that conform to no standard."""

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.users.derive import email_facts
from server.users.finding.email_keys import irregular_key, key_prefixes, migrated_keys


def _key(text: str) -> str | None:
    facts = email_facts(text)
    return facts.email_key if facts else irregular_key(text)


_FORMS = [
    ("john@acme.com", ["John@ACME.com", " john@acme.com\n", "john@ａcme.com"]),
    ("a@bücher.example.de", ["A@xn--bcher-kva.example.de", "a@BÜCHER.example.de", "a@XN--BCHER-KVA.Example.de"]),
    ("jörg@bücher.de", ["JÖRG@bücher.de", "jörg@xn--bcher-kva.de", "Jörg@BÜCHER。de"]),
    ("a@faß.de", ["a@xn--fa-hia.de"]),
    ("用户@例え.jp", ["用户@xn--r8jz45g.jp"]),
    ("a..b@docomo.ne.jp", ["A..B@Docomo.ne.jp "]),
    ('"john doe"@acme.com', ['"John Doe"@ACME.com']),
    ("ü@nas.local", ["Ü@NAS.local"]),
    ("a@bücher.local", ["a@xn--bcher-kva.local", "a@BÜCHER.LOCAL"]),
    ("a@[1.2.3.4]", ["A@[1.2.3.4]"]),
    ("a@b", ["A@B"]),
    ("a@xn--zz.com", ["a@XN--ZZ.com"]),
    ("ä@b_ü c", ["Ä@B_Ü C"]),
]


@pytest.mark.parametrize(("key", "forms"), _FORMS)
def test_all_forms_of_an_address_have_one_key(key: str, forms: list[str]) -> None:
    for form in [key, *forms]:
        for unicode_form in ("NFC", "NFD"):
            assert _key(normalize(unicode_form, form)) == key


def test_different_addresses_have_different_keys() -> None:
    keys = [_key(key) for key, _ in _FORMS] + [_key("jorg@bücher.de"), _key("a.b@docomo.ne.jp"), _key("a@fass.de")]
    assert len({*keys}) == len(keys)


@pytest.mark.parametrize("text", ["", "@", "a@", "@b", " a@ ", "nobody", "x" * 254 + "@a", "@".join("a" * 300), "@@ "])
def test_what_does_not_look_like_an_address_has_no_key(text: str) -> None:
    assert _key(text) is None


def test_nothing_longer_than_an_address_between_as_many_blanks_is_looked_at() -> None:
    longest = "x" * 252 + "@b"
    assert irregular_key(" " * 100 + longest + " " * 154) == longest
    assert irregular_key(" " * 100 + longest + " " * 155) is None
    assert irregular_key("a@" + "b" * 1_000_000) is None


@given(st.text("aZüÜ.@-x \u0308ßſ\u212a", max_size=12) | st.text(max_size=12))
def test_a_key_is_its_own_key_and_its_beginnings_find_it(text: str) -> None:
    key = _key(text)
    if key is None:
        return
    assert _key(key) in (key, None)
    for length in range(1, len(key) + 1):
        beginning = key[:length]
        # A beginning that ends before a combining character is another one in composed Unicode.
        if beginning.strip() == beginning == normalize("NFC", beginning):
            assert any(key.startswith(prefix) for prefix in key_prefixes(beginning)), beginning


@pytest.mark.parametrize(
    ("text", "prefixes"),
    [
        ("Jo", ["jo"]),
        (" \t", []),
        # Keys of earlier versions have the case and the form of Unicode that were sent, but for ASCII letters.
        ("JÖ", ["jO\u0308", "jÖ", "jö"]),
        ("a@bü", ["a@bu\u0308", "a@bü", "a@xn--b-eha"]),
        ("a@XN--BCHER-KVA.de", ["a@bücher.de", "a@xn--bcher-kva.de"]),
        ("a@xn--b", ["a@xn--b"]),
        ("ü@", ["u\u0308@", "ü@"]),
    ],
)
def test_the_beginnings_of_keys(text: str, prefixes: list[str]) -> None:
    assert key_prefixes(text) == prefixes


def test_the_keys_of_a_migration_are_as_they_were_sent_but_for_ascii_letters() -> None:
    assert migrated_keys(" A..B@x.LOCAL\n") == ["a..b@x.local"]
    assert migrated_keys("Ü..B@x") == ["Ü..b@x", "U\u0308..b@x", "ü..b@x", "u\u0308..b@x"]
