"""The updates of companies that `make bench` sends beside those of users."""

import json

from benchmarks.load.users import body_of, company_body_of
from server.services.updates.update_from_json import company_update_from_json
from server.users.update import plan_update


def test_the_update_of_a_company_is_that_of_a_user_without_the_token() -> None:
    company, user = json.loads(company_body_of("c-1")), json.loads(body_of("c-1"))
    assert company == {"company_id": "c-1", "campaign": user["campaign"], "metadata": user["metadata"]}
    planned = plan_update("app", company_update_from_json(company_body_of("c-1").encode(), None), 0)
    assert not planned.warnings
