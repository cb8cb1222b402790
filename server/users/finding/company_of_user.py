"""GetUser and LookupUsers with companies: by what the company of a user is found, without any guess."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from server.model import COMPANIES, Fetched
from server.users.ids import id_of

LINKS: Final = ("company_id", "company_domain")
"""The stored fields of a user that lead to a company."""


class CompanyMatch(Enum):
    """How a company was found."""

    COMPANY_ID = auto()
    COMPANY_DOMAIN = auto()


@dataclass(frozen=True, slots=True)
class CompanyLink:
    """What leads from a user to a company: the `_id` of its profile, or the domain of the user's work address.

    The domain leads to a company only if no other one of the application has it.
    """

    match: CompanyMatch
    value: str


def link_of(application_id: str, user: Fetched) -> CompanyLink | None:
    """What leads from a user to a company, if anything does. A `company_id` counts alone, even if nothing is stored of
    that company.
    """
    company_id, domain = user.position(LINKS)
    if isinstance(company_id, str):
        return CompanyLink(CompanyMatch.COMPANY_ID, id_of(COMPANIES, application_id, company_id))
    return CompanyLink(CompanyMatch.COMPANY_DOMAIN, domain) if isinstance(domain, str) else None
