"""Values that are derived from an email address or a user agent, without any network call."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple, cast
from unicodedata import normalize

from disposable_email_domains import blocklist
from email_validator import EmailNotValidError, validate_email
from publicsuffixlist import PublicSuffixList
from ua_parser import BestAvailableResolver, Domain, Parser, load_lazy_builtins

from server.model import JsonObject
from server.users.finding.email_keys import ADDRESS_LENGTH, composed

# Providers that give an address to anyone: registrable domains, and names under any public suffix.
_FREE_MAIL_DOMAINS = frozenset(
    """
    126.com 139.com 163.com 189.cn aim.com aol.com att.net bellsouth.net bigpond.com bk.ru bluewin.ch btinternet.com
    charter.net comcast.net cox.net daum.net duck.com earthlink.net fastmail.com fastmail.fm foxmail.com free.fr
    freenet.de frontier.com gmx.net gmx.us googlemail.com hanmail.net hey.com hushmail.com icloud.com inbox.ru
    interia.pl laposte.net libero.it list.ru mac.com mail.com mail.ru me.com msn.com naver.com ntlworld.com o2.pl
    onet.pl optonline.net orange.fr outlook.com pm.me proton.me protonmail.ch protonmail.com qq.com rambler.ru
    rediffmail.com rocketmail.com sbcglobal.net seznam.cz sfr.fr shaw.ca sina.cn sina.com skynet.be sky.com sohu.com
    t-online.de talktalk.net telenet.be telus.net terra.com.br tiscali.it tuta.com tuta.io tutanota.com tutanota.de
    ukr.net uol.com.br verizon.net virgilio.it virginmedia.com wanadoo.fr web.de windowslive.com wp.pl ya.ru yeah.net
    ymail.com zoho.com zohomail.com
    """.split()
)
_FREE_MAIL_NAMES = frozenset({"gmail", "gmx", "hotmail", "live", "outlook", "yahoo", "yandex"})


class EmailFacts(NamedTuple):
    """The Gravatar picture of an email address, its domain, the company's domain of a work address, and its key.

    `older_pictures` are the pictures of the same address in other forms of Unicode and of its domain. Earlier versions
    have stored some profiles with these alone.
    """

    avatar_url: str
    email_domain: str
    company_domain: str | None
    email_key: str
    older_pictures: Sequence[str] = ()


# The usual form of an address. Whether it is valid depends only on its domain, which is cached.
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@([A-Za-z0-9.-]+)")
_PLAIN_LENGTH = 128

# As many blanks as an address has characters may surround it.
_MAX_LENGTH = 2 * ADDRESS_LENGTH


def email_facts(email: str) -> EmailFacts | None:
    """The facts of an address, or None if `email` is none. Domains are in lower case and ASCII (IDNA)."""
    if len(email) <= _PLAIN_LENGTH:
        return _cached_facts(email)
    # A longer string is hardly an address. It is not cached, and beyond a limit not parsed.
    return _facts_of(email) if len(email) <= _MAX_LENGTH else None


def _facts_of(email: str) -> EmailFacts | None:
    address = email.strip()
    plain = _PLAIN_ADDRESS.fullmatch(address) if len(address) <= _PLAIN_LENGTH else None
    domains = _domains_of_plain(plain[1]) if plain else _domains(address)
    if domains is None:
        return None
    domain, unicode_domain = domains
    lower = address.lower()
    if plain and domain == unicode_domain:
        return EmailFacts(_picture(lower), domain, _company_domain(domain), lower)
    local = composed(address.rpartition("@")[0])
    pictures = {
        _picture(f"{each}@{other}")
        for each in (local, normalize("NFD", local))
        for other in (domain, unicode_domain, normalize("NFD", unicode_domain))
    }
    picture = _picture(lower)
    key = f"{local}@{unicode_domain}"
    return EmailFacts(picture, domain, _company_domain(domain), key, sorted(pictures - {picture}))


def _picture(address: str) -> str:
    return f"https://www.gravatar.com/avatar/{hashlib.sha256(address.encode()).hexdigest()}"


_cached_facts = lru_cache(maxsize=10_000)(_facts_of)


def domain_key(domain: str) -> str:
    """The form in which the domain of a company equals `EmailFacts.company_domain`: lower case and ASCII (IDNA).

    Text that is no domain has its letters in lower case, and is found by nothing.
    """
    text = domain.strip().removesuffix(".")
    valid = _domains_of_plain(text) if len(text) <= _PLAIN_LENGTH else None
    return valid[0] if valid else text.lower()


@lru_cache(maxsize=10_000)
def _domains_of_plain(domain: str) -> tuple[str, str] | None:
    return _domains(f"a@{domain}")


def _domains(address: str) -> tuple[str, str] | None:
    """The domain of an address in ASCII and in Unicode, which are the same for most. None if it is no address."""
    try:
        # Without a DNS query. Test environments use `.test` for addresses that reach nobody.
        valid = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    return str(valid.ascii_domain).lower(), str(valid.domain).lower()


@lru_cache(maxsize=10_000)
def _company_domain(domain: str) -> str | None:
    company = _public_suffixes().privatesuffix(domain)
    if company is None or company in _FREE_MAIL_DOMAINS or company.split(".", 1)[0] in _FREE_MAIL_NAMES:
        return None
    return None if domain in blocklist or company in blocklist else str(company)


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=True)


USER_AGENT_PREFIX: Final = 1024
"""Characters of a user agent that are parsed. Real ones have fewer than 900, and the parser takes long for more."""

# A name or version in a user agent has a few dozen characters.
_NAME_LENGTH = 256

# All seven take 126 bytes in BSON, without their strings.
_NAMES_BYTES = 128


class UserAgentFacts(NamedTuple):
    """Browser, operating system and device as they are stored, or None if nothing is recognised. Do not change them.

    `size` is an upper bound of their bytes in BSON.
    """

    facts: JsonObject | None
    size: int


def user_agent_facts(user_agent_string: str) -> UserAgentFacts:
    """The facts in the first characters of a user agent."""
    if len(user_agent_string) <= _COMMON_LENGTH:
        return _common_facts(user_agent_string)
    return _long_facts(user_agent_string[:USER_AGENT_PREFIX])


@cache
def _parser() -> Parser:
    # Not the default parser, which has a cache of its own.
    return Parser(BestAvailableResolver(load_lazy_builtins()))


def _parsed(user_agent_string: str) -> UserAgentFacts:
    result = _parser()(user_agent_string, Domain.ALL).complete()
    facts: dict[str, dict[str, str]] = {}
    if browser := result.user_agent:
        parts = (browser.major, browser.minor, browser.patch, browser.patch_minor)
        facts["browser"] = _known(name=browser.family, version=_version(parts))
    if os := result.os:
        facts["os"] = _known(name=os.family, version=_version((os.major, os.minor, os.patch, os.patch_minor)))
    if device := result.device:
        facts["device"] = _known(name=device.family, brand=device.brand, model=device.model)
    texts = [text for known in facts.values() for text in known.values()]
    return UserAgentFacts(cast(JsonObject, facts) or None, _NAMES_BYTES + sum(len(text.encode()) for text in texts))


def _version(parts: Iterable[str | None]) -> str | None:
    return ".".join(part for part in parts if part) or None


def _known(**values: str | None) -> dict[str, str]:
    return {name: value[:_NAME_LENGTH] for name, value in values.items() if value}


# Nearly all user agents are shorter. The keys of both caches, with four bytes a character, take at most 12 MiB.
_COMMON_LENGTH = 256
_common_facts = lru_cache(maxsize=8192)(_parsed)
_long_facts = lru_cache(maxsize=1024)(_parsed)


def warm() -> None:
    """Load the tables of the parsers now instead of at the first update."""
    user_agent_facts("Mozilla/5.0")
    _company_domain("userfold.test")
