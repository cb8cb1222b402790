"""CountUsers: which users are counted."""

from server.query.conditions import UserQuery
from server.query.grammar import parse_filter
from server.users.filter_conditions import users_matching


def plan_count(application_id: str, filter_text: str) -> UserQuery:
    """The users of an application that match a filter. Raises InvalidRequest."""
    return users_matching(application_id, parse_filter(filter_text))
