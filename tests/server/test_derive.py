import hashlib

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from server import derive
from server.derive import alias_digest, email_facts, user_agent_facts

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
def test_an_address_tells_its_domain_and_company(email: str, domain: str, company: str | None) -> None:
    facts = email_facts(email)
    assert facts is not None
    assert (facts.email_domain, facts.company_domain) == (domain, company)


def test_the_picture_is_that_of_the_trimmed_address_in_lower_case() -> None:
    facts = email_facts(" John@AcmeInc.com")
    assert facts is not None
    assert facts.avatar_url == "https://www.gravatar.com/avatar/" + hashlib.sha256(b"john@acmeinc.com").hexdigest()


@pytest.mark.parametrize("text", ["", "john", "j@x", "john@", "@acme.com", "a b@acme.com", "john@acme..com", "x" * 400])
def test_what_is_no_address_tells_nothing(text: str) -> None:
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
def test_the_short_way_and_the_long_way_tell_the_same(email: str) -> None:
    try:
        whole = validate_email(email.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        assert email_facts(email) is None
    else:
        facts = email_facts(email)
        assert facts is not None
        assert facts.email_domain == whole.ascii_domain.lower()


def test_a_user_agent_tells_browser_system_and_device() -> None:
    assert user_agent_facts(_IPHONE).facts == {
        "browser": {"name": "Mobile Safari", "version": "17.0"},
        "os": {"name": "iOS", "version": "17.0"},
        "device": {"name": "iPhone", "brand": "Apple", "model": "iPhone"},
    }
    assert user_agent_facts("UA").facts is None


def test_a_digest_is_bound_to_its_application() -> None:
    assert alias_digest("a", "token") == hashlib.sha256(b"a\0token").digest()
    assert alias_digest("a", "token") != alias_digest("b", "token")


def test_a_text_that_is_longer_than_an_address_is_not_kept() -> None:
    before = derive._remembered_facts.cache_info().currsize
    for text in ("x" * 1_000_000, f"{'x' * 200}@acmeinc.com"):
        email_facts(text)
    assert derive._remembered_facts.cache_info().currsize == before
