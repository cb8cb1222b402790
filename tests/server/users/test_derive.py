import hashlib

import bson
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st
from ua_parser import Domain, PartialResult

from server.users import derive
from server.users.derive import EmailFacts, email_facts, user_agent_facts
from server.users.ids import alias_digest

_IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/17.0 Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize(
    ("email", "domain", "company"),
    [
        ("john@acmeinc.com", "acmeinc.com", "acmeinc.com"),
        ("  John@ACMEinc.com ", "acmeinc.com", "acmeinc.com"),
        ("john@mail.eu.acme.co.uk", "mail.eu.acme.co.uk", "acme.co.uk"),
        ("jörg@bücher.example.de", "xn--bcher-kva.example.de", "example.de"),
        ("john@gmail.com", "gmail.com", None),
        ("john@yahoo.co.jp", "yahoo.co.jp", None),
        ("john@mailinator.com", "mailinator.com", None),
        ("john@acme.test", "acme.test", "acme.test"),
        ("john@co.uk", "co.uk", None),
    ],
)
def test_the_domain_and_company_of_an_address(email: str, domain: str, company: str | None) -> None:
    facts = email_facts(email)
    assert facts is not None
    assert (facts.email_domain, facts.company_domain) == (domain, company)


def test_the_picture_is_that_of_the_trimmed_address_in_lower_case() -> None:
    facts = email_facts(" John@AcmeInc.com")
    assert facts is not None
    assert facts.avatar_url == "https://www.gravatar.com/avatar/" + hashlib.sha256(b"john@acmeinc.com").hexdigest()


@pytest.mark.parametrize("text", ["", "john", "j@x", "john@", "@acme.com", "a b@acme.com", "john@acme..com", "x" * 400])
def test_a_string_that_is_no_address_has_no_facts(text: str) -> None:
    assert email_facts(text) is None


_PARTS = st.text("aZ0.+-_ @'ü\t", max_size=8) | st.sampled_from(
    [
        "john",
        "acme.com",
        "mail.acme.co.uk",
        "-",
        "x" * 63,
        "x" * 64,
        "localhost",
        "a.test",
        "xn--bcher-kva.de",
        "1.2.3.4",
    ]
)


@given(st.lists(_PARTS, min_size=1, max_size=4).map("@".join) | st.tuples(_PARTS, _PARTS).map("@acme.".join))
def test_cached_and_uncached_facts_are_the_same(email: str) -> None:
    try:
        whole = validate_email(email.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        assert email_facts(email) is None
    else:
        facts = email_facts(email)
        assert facts is not None
        assert facts.email_domain == whole.ascii_domain.lower()


def test_the_browser_system_and_device_of_a_user_agent() -> None:
    assert user_agent_facts(_IPHONE).facts == {
        "browser": {"name": "Mobile Safari", "version": "17.0"},
        "os": {"name": "iOS", "version": "17.0"},
        "device": {"name": "iPhone", "brand": "Apple", "model": "iPhone"},
    }
    assert user_agent_facts("UA").facts is None


def test_a_digest_is_bound_to_its_application() -> None:
    assert alias_digest("a", "token") == hashlib.sha256(b"a\0token").digest()
    assert alias_digest("a", "token") != alias_digest("b", "token")


def test_a_string_that_is_longer_than_an_address_is_not_cached() -> None:
    before = derive._cached_facts.cache_info().currsize
    for text in ("x" * 1_000_000, f"{'x' * 200}@acmeinc.com"):
        email_facts(text)
    assert derive._cached_facts.cache_info().currsize == before


def test_a_string_that_is_longer_than_an_address_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    facts_of = derive._facts_of

    def look_at(email: str) -> EmailFacts | None:
        looked_at.append(len(email))
        return facts_of(email)

    monkeypatch.setattr(derive, "_facts_of", look_at)
    monkeypatch.setattr(derive, "_cached_facts", look_at)
    assert email_facts("a " * 500_000) is None
    assert email_facts(" " * 1000 + "john@acmeinc.com") is None
    assert not looked_at
    assert email_facts(" " * 200 + "john@acmeinc.com" + "\n" * 200) == email_facts("john@acmeinc.com")
    longest = f"{'x' * 64}@{'.'.join(['y' * 60] * 3)}.com"
    assert email_facts(longest) is not None
    assert max(looked_at) == 416


def test_only_the_beginning_of_a_user_agent_is_parsed_and_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    parser = derive._parser()

    def parse(text: str, domains: Domain) -> PartialResult:
        parsed.append(text)
        return parser(text, domains)

    monkeypatch.setattr(derive, "_parser", lambda: parse)
    longest = f"{_IPHONE} {'x' * 1024}"[:1024]
    facts = user_agent_facts(longest)
    assert facts.facts == user_agent_facts(_IPHONE).facts
    for rest in ("", " Firefox/121.0", "y" * 7000):
        assert user_agent_facts(longest + rest) is facts
    assert user_agent_facts("bots " * 1600).size < 1024
    assert longest in parsed
    assert max(map(len, parsed)) == 1024


def test_the_caches_of_user_agents_are_bounded_in_bytes() -> None:
    bounds = [(derive._common_facts, derive._COMMON_LENGTH), (derive._long_facts, derive.USER_AGENT_PREFIX)]
    assert sum((cache.cache_info().maxsize or 10**9) * length * 4 for cache, length in bounds) <= 12 * 1024 * 1024
    text = f"Dalvik/1.6.0 (Linux; U; Android 4.4; SAMSUNG-{'X' * 900} Build/1)"
    facts = user_agent_facts(text)
    assert facts.facts is not None
    assert len(bson.encode(facts.facts)) <= facts.size
    names = [name for part in facts.facts.values() if isinstance(part, dict) for name in part.values()]
    assert max(map(len, names)) == 256
