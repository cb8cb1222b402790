"""The packages `moesifapi`, `moesifwsgi` and `moesifasgi` of PyPI, in programs that send more than users."""

import pytest

from tests.clients import profiles
from tests.clients.programs import run_python
from tests.support.stack import Api, Stack

_MODELS = """
import logging, os
from datetime import datetime, timezone
from moesifapi.configuration import Configuration
from moesifapi.models import (
    CompanyModel, EventModel, EventRequestModel, EventResponseModel, SubscriptionModel, UserModel
)

logging.basicConfig(level=logging.WARNING)
now = datetime.now(timezone.utc)
company = {"company_id": "67890", "company_domain": "acmeinc.com", "metadata": {"plan": "free"}}
subscription = {"subscription_id": "s", "company_id": "67890", "status": "active"}
def user(user_id):
    return {"user_id": user_id, "metadata": {"email": "john@acmeinc.com"}}
def event():
    request = EventRequestModel(time=now, uri="https://shop.example/x", verb="GET", headers={"a": "b"})
    response = EventResponseModel(time=now, status=200, headers={}, body={"a": 1})
    return EventModel(request=request, response=response, user_id="12345")
"""

_LIBRARY = """
from moesifapi.moesif_api_client import MoesifAPIClient

Configuration.BASE_URI = os.environ["BASE_URL"]
api = MoesifAPIClient(os.environ["KEY"]).api
api.update_user(UserModel.from_dictionary(user("first")))
api.update_company(CompanyModel.from_dictionary(company))
api.update_companies_batch([CompanyModel.from_dictionary(company)])
api.update_subscription(SubscriptionModel.from_dictionary(subscription))
api.update_subscriptions_batch([SubscriptionModel.from_dictionary(subscription)])
api.create_event(event())
api.create_events_batch([event(), event()])
api.update_users_batch([UserModel.from_dictionary(user("last"))])
print("alive")
"""

_MIDDLEWARE = """
import threading
from moesifapi.http.http_call_back import HttpCallBack
from {package}.middleware import MoesifMiddleware

class Watch(HttpCallBack):
    answered = threading.Event()
    def on_before_request(self, request):
        pass
    def on_after_response(self, context):
        if context.request.query_url.endswith("/v1/events/batch"):
            print(context.response.status_code)
            self.answered.set()

settings = dict(APPLICATION_ID=os.environ["KEY"], BASE_URI=os.environ["BASE_URL"], EVENT_BATCH_TIMEOUT=0.1)
middleware = MoesifMiddleware(None, settings)
middleware.update_user(user("first"))
middleware.update_company(company)
middleware.update_companies_batch([company])
middleware.api_client.http_call_back = Watch()
# Threads of the middleware's own send what is in its queue.
assert {pool}.add_event(event())
assert Watch.answered.wait(20)
middleware.api_client.update_subscription(SubscriptionModel.from_dictionary(subscription))
middleware.update_users_batch([user("last")])
{end}
print("alive")
"""

# The package forgets this. Its scheduler reports a job that it cannot start while the interpreter ends.
_SHUTDOWN = "middleware.event_logger.worker_pool.scheduler.shutdown()"

_PROGRAMS = {
    "moesifapi": (_LIBRARY, "alive\n"),
    "moesifwsgi": (_MIDDLEWARE.format(package="moesifwsgi", pool="middleware.worker_pool", end=""), "201\nalive\n"),
    "moesifasgi": (
        _MIDDLEWARE.format(package="moesifasgi", pool="middleware.event_logger.worker_pool", end=_SHUTDOWN),
        "201\nalive\n",
    ),
}


@pytest.mark.parametrize("package", _PROGRAMS)
def test_no_call_of_a_package_raises_and_users_are_stored(stack: Stack, api: Api, package: str) -> None:
    source, printed = _PROGRAMS[package]
    # Warnings and tracebacks would be on stderr, which must be empty.
    assert run_python(_MODELS + source, BASE_URL=stack.http, KEY=api.application.collector_key) == printed
    for user_id in ("first", "last"):
        stored = profiles.profile(user_id, metadata={"email": "john@acmeinc.com"})
        assert profiles.returned_profile(api, user_id) == stored
