"""Users of a product, as it sends them: one update, or several, of each."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

Update = Mapping[str, Any]

_SEED: Final = 20

COMPANIES: Final = (
    *("contoso.com", "fabrikam.com", "northwindtraders.com", "adventure-works.com", "tailspintoys.com"),
    *("wingtiptoys.com", "litwareinc.com", "proseware.com", "lucernepublishing.com", "margiestravel.com"),
)
"""The domains of the companies that users belong to. A few users belong to none."""

_NAMES: Final = """
Ada Lindqvist,Amara Okafor,Anders Holm,Anna Kowalska,Arjun Mehta,Aylin Demir,Beatriz Souza,Ben Carter,Camille Laurent,
Carlos Herrera,Chiara Romano,Chloe Bennett,Daniel Weiss,Davide Ferri,Elena Petrova,Elif Kaya,Emil Novak,Emma Johansson,
Erik Solberg,Fatima Zahra,Femi Adeyemi,Grace Kim,Hana Suzuki,Hugo Martin,Ines Costa,Ivan Horvat,Jakub Nowak,
James Walker,Jonas Berg,Julia Schneider,Kai Tanaka,Kwame Mensah,Lara Fischer,Laura Jimenez,Leila Haddad,Liam Murphy,
Lin Zhang,Lucas Moreau,Maja Jensen,Marco Bianchi,Maria Papadaki,Mateo Vargas,Mei Chen,Mia Virtanen,Mohamed Salah,
Nadia Rahman,Niamh Byrne,Noah Dubois,Olga Ivanova,Omar Farouk,Paula Ortega,Priya Nair,Rosa Almeida,Samuel Osei,
Sara Lindgren,Sofia Rossi,Tariq Aziz,Tom Becker,Yuki Sato,Zoe Williams
"""

_TITLES: Final = ("Software Engineer", "Head of Data", "CTO", "Product Manager", "Support Lead", "Founder", "Analyst")
_PLANS: Final = (("free", 0), ("team", 1_200), ("business", 9_600), ("enterprise", 48_000))
_STAGES: Final = ("Lead", "Trial", "Customer", "Churned")
_OWNERS: Final = ("mary@acmeinc.com", "john@acmeinc.com", "ruth@acmeinc.com")
_FEATURES: Final = ("exports", "sso", "audit-log", "webhooks", "api")

_CAMPAIGNS: Final[Sequence[Update]] = (
    {"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "brand", "gclid": "EAIaIQobChMI"},
    {"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "api-tooling", "utm_term": "user profile api"},
    {"utm_source": "newsletter", "utm_medium": "email", "utm_campaign": "spring-release"},
    {"utm_source": "linkedin", "utm_medium": "social", "utm_campaign": "founders", "utm_content": "video"},
    {"utm_source": "partner", "utm_medium": "referral", "referring_domain": "contoso.com"},
    {"referrer": "https://news.example/userfold", "referring_domain": "news.example"},
)

_DEVICES: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
    "Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 "
    "Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile "
    "Safari/537.36",
)


def people() -> Sequence[Update]:
    """One update of each of 60 users, with everything that a product knows of them."""
    draw = random.Random(_SEED)  # noqa: S311 - Not a secret: each run must have the same users.
    names = " ".join(_NAMES.split()).replace(", ", ",").split(",")
    return [_person(draw, 1_000 + number, name) for number, name in enumerate(names)]


def later_updates(users: Sequence[Update]) -> Sequence[Update]:
    """A later update of every third user: another campaign, a device and a session token, and a few changes."""
    draw = random.Random(_SEED + 1)  # noqa: S311 - As above.
    return [_later(draw, user) for user in users[::3]]


def visitors() -> Sequence[Update]:
    """Updates of visitors, who have no user id, and the update with which one of them signed in."""
    draw = random.Random(_SEED + 2)  # noqa: S311 - As above.
    unknown = [
        {"anonymous_id": f"visitor-{number:04x}", "campaign": campaign, "user_agent_string": draw.choice(_DEVICES)}
        for number, campaign in enumerate(_CAMPAIGNS, 0xA1)
    ]
    return [*unknown, {"user_id": "usr_1000", "anonymous_id": "visitor-00a1"}]


def companies() -> Sequence[Update]:
    """One update of each company that users belong to, but for the last one, of which only its users are known."""
    draw = random.Random(_SEED + 3)  # noqa: S311 - As above.
    return [_company(draw, number, domain) for number, domain in enumerate(COMPANIES[:-1])]


def _company(draw: random.Random, number: int, domain: str) -> Update:
    name, plan = domain.partition(".")[0], draw.choice(_PLANS)[0]
    return {
        "company_id": name,
        "company_domain": domain,
        "ip_address": f"198.51.100.{number}",
        "campaign": draw.choice(_CAMPAIGNS),
        "metadata": {
            "name": name.replace("-", " ").title(),
            "plan": plan,
            "employees": draw.randrange(10, 4_000, 10),
            "sales_info": {"stage": draw.choice(_STAGES), "account_owner": draw.choice(_OWNERS)},
            "contract": {"renews": f"2027-{draw.randint(1, 12):02}-01", "seats": draw.randint(5, 500), "notes": []},
        },
    }


def _person(draw: random.Random, number: int, name: str) -> Update:
    first, last = name.split()
    domain = draw.choice(COMPANIES)
    # A few have an address that says nothing of their company, and belong to none.
    is_private = draw.random() < 0.1
    plan, value = draw.choice(_PLANS)
    user: dict[str, Any] = {
        "user_id": f"usr_{number}",
        "session_token": f"session-of-{number}",
        "user_agent_string": draw.choice(_DEVICES),
        "ip_address": f"203.0.113.{number % 250}",
        "metadata": {
            "email": f"{first}.{last}@{'gmail.com' if is_private else domain}".lower(),
            "name": name,
            "first_name": first,
            "last_name": last,
            "title": draw.choice(_TITLES),
            "plan": plan,
            "signed_up": f"2026-{draw.randint(1, 11):02}-{draw.randint(1, 28):02}",
            "sales_info": {
                "stage": draw.choice(_STAGES),
                "lifetime_value": value + draw.randrange(0, 400, 25) + 0.5 * draw.randrange(2),
                "account_owner": draw.choice(_OWNERS),
            },
            "product": {
                "seats": draw.randint(1, 240),
                "is_trial": draw.random() < 0.3,
                "features": sorted(draw.sample(_FEATURES, draw.randint(0, 4))),
                "limits": {
                    "requests_per_day": 10_000 * draw.randint(1, 50),
                    "retention_days": draw.choice([7, 30, 365]),
                },
            },
            "preferences": {} if draw.random() < 0.4 else {"theme": draw.choice(["light", "dark"]), "digest": None},
            "last_steps": [draw.choice(["invited", "imported", None]) for _ in range(draw.randint(0, 3))],
        },
    }
    if not is_private:
        user["company_id"] = domain.partition(".")[0]
    if draw.random() < 0.8:
        user["campaign"] = draw.choice(_CAMPAIGNS)
    if draw.random() < 0.3:
        user["metadata"]["phone"] = f"+49 30 901820{number % 100:02}"
    return user


def _later(draw: random.Random, user: Update) -> Update:
    return {
        "user_id": user["user_id"],
        "campaign": draw.choice(_CAMPAIGNS),
        "session_token": f"{user['session_token']}-on-another-device",
        "user_agent_string": draw.choice(_DEVICES),
        "metadata": {
            "title": draw.choice(_TITLES),
            "sales_info": {"stage": draw.choice(_STAGES)},
            "product": {"seats": draw.randint(1, 240)},
        },
    }
