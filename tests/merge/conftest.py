"""What tests of merging share."""

import pytest

from tests.support.stack import COMPANIES, USERS, Api, ProfileNames, Profiles


@pytest.fixture(params=[USERS, COMPANIES], ids=["users", "companies"])
def profiles(request: pytest.FixtureRequest, api: Api) -> Profiles:
    """The profiles of each kind of a new application."""
    names: ProfileNames = request.param
    return Profiles(api, names)
