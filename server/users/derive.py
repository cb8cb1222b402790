"""Values that follow from what a caller sent: pure, and without any network call."""

import hashlib
import re
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Final, NamedTuple, cast

from disposable_email_domains import blocklist
from email_validator import EmailNotValidError, validate_email
from publicsuffixlist import PublicSuffixList
from ua_parser import BestAvailableResolver, Domain, Parser, load_lazy_builtins

from server.model import JsonObject

# Providers that give an address to anyone, by registrable domain; `_FREE_MAIL_NAMES` under every public suffix.
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
    """What an email address tells: its Gravatar picture, its domain, and its company if it is a work address."""

    avatar_url: str
    email_domain: str
    company_domain: str | None


# What nearly all addresses look like. Whether one is valid depends on nothing but its domain, which is remembered.
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@([A-Za-z0-9.-]+)")
_PLAIN_LENGTH = 128

# An address has at most 254 characters (RFC 5321, erratum 1690). Blanks around it may be as many again.
_LONGEST = 2 * 254


def email_facts(email: str) -> EmailFacts | None:
    """The facts of an address; None where `email` is not one. Domains are in lower case and ASCII (IDNA)."""
    if len(email) <= _PLAIN_LENGTH:
        return _remembered_facts(email)
    # What is longer is hardly an address: it is not kept, and beyond a limit not looked at.
    return _facts_of(email) if len(email) <= _LONGEST else None


def _facts_of(email: str) -> EmailFacts | None:
    address = email.strip()
    plain = _PLAIN_ADDRESS.fullmatch(address) if len(address) <= _PLAIN_LENGTH else None
    domain = _domain_of_plain(plain[1]) if plain else _domain(address)
    if domain is None:
        return None
    picture = hashlib.sha256(address.lower().encode()).hexdigest()
    return EmailFacts(f"https://www.gravatar.com/avatar/{picture}", domain, _company_domain(domain))


_remembered_facts = lru_cache(maxsize=10_000)(_facts_of)


@lru_cache(maxsize=10_000)
def _domain_of_plain(domain: str) -> str | None:
    return _domain(f"a@{domain}")


def _domain(address: str) -> str | None:
    try:
        # No DNS query; `.test` is how test environments write addresses that reach nobody.
        valid = validate_email(address, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    return str(valid.ascii_domain).lower()


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
"""The characters of a user agent that are parsed: real ones have fewer than 900. The most expensive found take the
parser 1.7 ms; with twice as many, 4 ms, and with 8,192, 13 to 18 ms."""

# A name or version in a user agent has a few dozen characters.
_NAME_LENGTH = 256

# What all seven take in BSON, their texts aside, is 126 bytes.
_NAMES_BYTES = 128


class UserAgentFacts(NamedTuple):
    """Browser, operating system and device, as they are stored, not to be changed; None where nothing is recognised.

    `size` is an upper bound of their bytes in BSON.
    """

    facts: JsonObject | None
    size: int


def user_agent_facts(user_agent_string: str) -> UserAgentFacts:
    """What the first characters of a user agent tell."""
    if len(user_agent_string) <= _COMMON_LENGTH:
        return _common_facts(user_agent_string)
    return _long_facts(user_agent_string[:USER_AGENT_PREFIX])


@cache
def _parser() -> Parser:
    # Not the default one, which keeps another 2,000 results.
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


# Nearly all user agents have less than this. Keys of both caches, four bytes a character, take at most 12 MiB.
_COMMON_LENGTH = 256
_common_facts = lru_cache(maxsize=8192)(_parsed)
_long_facts = lru_cache(maxsize=1024)(_parsed)


def warm() -> None:
    """Load the parsers' tables now, which takes 0.1 s and more, instead of at the first update."""
    user_agent_facts("Mozilla/5.0")
    _company_domain("userfold.test")
