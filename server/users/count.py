"""CountUsers and CountCompanies: which profiles are counted."""

from server.model import USERS, ProfileKind
from server.query.conditions import ProfileQuery
from server.query.grammar import parse_filter
from server.users.filter_conditions import profiles_matching


def plan_count(application_id: str, filter_text: str, kind: ProfileKind = USERS) -> ProfileQuery:
    """The profiles of an application that match a filter. Raises InvalidRequest."""
    return profiles_matching(application_id, parse_filter(filter_text), kind)
