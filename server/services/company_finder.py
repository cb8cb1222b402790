"""The companies of users that are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from userfold.v1 import user_service_pb2 as pb

from server.errors import ResponseTooLarge, UserfoldError
from server.model import COMPANIES, Fetched
from server.query.field_mask import whole
from server.services import convert
from server.services.sliced_responses import ResponseBuilder
from server.users.finding.company_of_user import CompanyLink, CompanyMatch, link_of
from server.users.ports import CompanyDomains, ProfileQueries

_WHOLE: Final = whole(COMPANIES)


@dataclass(frozen=True, slots=True)
class FoundCompany:
    """The company of a user, and how it was found. `key` is the `_id` of its profile."""

    key: str
    match: CompanyMatch
    company: Fetched


@dataclass(frozen=True, slots=True)
class FoundUser:
    """A user, with the company if it was requested and there is one."""

    user: Fetched
    found: FoundCompany | None = None

    async def fill(self, response: pb.GetUserResponse, builder: ResponseBuilder) -> bool:
        """Fill the response of one of several users. Returns whether it fits, as the first always does."""
        if self.found is None:
            return await builder.next_user(self.user, None, response)
        response.company_match = convert.company_match(self.found.match)
        return await builder.next_user(self.user, self.found.company, response)


class CompanyFinder:
    """Finds the companies of users in the queries of companies."""

    def __init__(self, companies: ProfileQueries, domains: CompanyDomains) -> None:
        self._companies = companies
        self._domains = domains

    async def of_users(self, application_id: str, users: Sequence[Fetched]) -> Sequence[FoundCompany | None]:
        """The company of each user, or None if nothing leads to one that is stored.

        The result ends before the first user whose company would exceed what a response holds, but not before the
        first user. Raises DatabaseUnavailable or QueryTooSlow.
        """
        links = [link_of(application_id, user) for user in users]
        domains = {each.value for each in links if each and each.match is CompanyMatch.COMPANY_DOMAIN}
        of_domains = await self._domains.only_companies(application_id, sorted(domains)) if domains else {}

        def key_of(link: CompanyLink | None) -> str | None:
            if link is None:
                return None
            return link.value if link.match is CompanyMatch.COMPANY_ID else of_domains.get(link.value)

        keys = list(dict.fromkeys(key for link in links if (key := key_of(link))))
        fetched = await self._companies.find_many(keys, _WHOLE) if keys else ()
        found = dict(zip(keys, fetched, strict=True))
        companies: list[FoundCompany | None] = []
        for link in links:
            key = key_of(link)
            company = found[key] if key else None
            if isinstance(company, ResponseTooLarge):
                break
            if link is None or key is None or company is None or isinstance(company, UserfoldError):
                companies.append(None)
            else:
                companies.append(FoundCompany(key, link.match, company))
        return companies

    async def with_companies(
        self, application_id: str, users: Sequence[Fetched]
    ) -> Sequence[FoundUser | UserfoldError]:
        """Each user with the company, and ResponseTooLarge for those after the end of what `of_users` returns."""
        companies = await self.of_users(application_id, users)
        found = [FoundUser(user, company) for user, company in zip(users, companies, strict=False)]
        return [*found, *[ResponseTooLarge()] * (len(users) - len(found))]

    async def fill_users(
        self, users: Sequence[Fetched], response: pb.LookupUsersResponse, builder: ResponseBuilder, application_id: str
    ) -> int:
        """Add users and their companies to a response. Returns how many users fit with their companies: at least the
        first.
        """
        added: dict[str, pb.UserCompany] = {}
        companies = await self.of_users(application_id, users)
        for count, (user, found) in enumerate(zip(users, companies, strict=False)):
            message = response.users.add()
            fits = await builder.next_profile(user, message)
            entry = added.get(found.key) if found else None
            if fits and found and entry is None:
                entry = response.companies.add()
                fits = await builder.next_profile(found.company, entry.company)
                if fits or not count:
                    added[found.key] = entry
                else:
                    del response.companies[-1]
            if not fits and count:
                del response.users[-1]
                return count
            if found and entry is not None:
                entry.users.add(user_id=message.user_id, match=convert.company_match(found.match))
        return len(companies)
