"""The packages of PyPI for the language, WSGI, ASGI and Django, in programs that make all their calls."""

import json
from collections.abc import Mapping
from typing import Final

import pytest

from tests.clients import updates
from tests.clients.programs import run_python
from tests.support.stack import Api, Stack

_MODELS: Final = """
import json, logging, os
from datetime import datetime, timezone
from moesifapi.configuration import Configuration
from moesifapi.models import (
    CompanyModel, EventModel, EventRequestModel, EventResponseModel, SubscriptionModel, UserModel
)

logging.basicConfig(level=logging.WARNING)
now = datetime.now(timezone.utc)
users, companies = json.loads(os.environ["USERS"]), json.loads(os.environ["COMPANIES"])
subscription = SubscriptionModel.from_dictionary({"subscription_id": "s", "company_id": "c", "status": "active"})
def event():
    request = EventRequestModel(time=now, uri="https://shop.example/x", verb="GET", headers={"a": "b"})
    response = EventResponseModel(time=now, status=200, headers={}, body={"a": 1})
    return EventModel(request=request, response=response, user_id="12345")
"""

_LIBRARY: Final = """
from moesifapi.moesif_api_client import MoesifAPIClient

Configuration.BASE_URI = os.environ["BASE_URL"]
api = MoesifAPIClient(os.environ["KEY"]).api
api.update_user(UserModel.from_dictionary(users[0]))
api.update_company(CompanyModel.from_dictionary(companies[0]))
api.update_companies_batch([CompanyModel.from_dictionary(each) for each in companies[1:]])
api.create_event(event())
api.update_subscriptions_batch([subscription])
def update_users_batch(users):
    api.update_users_batch([UserModel.from_dictionary(each) for each in users])
"""

_MIDDLEWARE: Final = """
settings = dict(APPLICATION_ID=os.environ["KEY"], BASE_URI=os.environ["BASE_URL"], EVENT_BATCH_TIMEOUT=0.1)
{middleware}
api = middleware.api_client
middleware.update_user(users[0])
middleware.update_company(companies[0])
middleware.update_companies_batch(companies[1:])
update_users_batch = middleware.update_users_batch
"""

_ANSWERED_EVENTS: Final = """
import threading
from moesifapi.http.http_call_back import HttpCallBack

class Watch(HttpCallBack):
    answered = threading.Event()
    def on_before_request(self, request):
        pass
    def on_after_response(self, context):
        if context.request.query_url.endswith("/v1/events/batch"):
            assert context.response.status_code == 201, context.response.status_code
            self.answered.set()

api.http_call_back = Watch()
# Threads of the middleware's own send what is in its queue.
assert {pool}.add_event(event())
assert Watch.answered.wait(20)
"""

_OF_ALL: Final = """
api.create_events_batch([event(), event()])
api.update_subscription(subscription)
update_users_batch(users[1:])
"""

_WSGI_OR_ASGI: Final = """
from {package}.middleware import MoesifMiddleware
middleware = MoesifMiddleware(None, settings)
"""

_DJANGO: Final = """
import django
from django.conf import settings as all_settings
all_settings.configure(
    ALLOWED_HOSTS=["testserver"],
    MIDDLEWARE=["moesifdjango.middleware.moesif_middleware"],
    MOESIF_MIDDLEWARE=settings,
    ROOT_URLCONF=__name__,
)
django.setup()

from django.http import JsonResponse
from django.test import Client
from django.urls import path
from moesifdjango.middleware import moesif_middleware

urlpatterns = [path("x", lambda request: JsonResponse({}))]
assert Client().get("/x").status_code == 200
middleware = moesif_middleware(None)
"""

# The package forgets this. Its scheduler reports a job that it cannot start while the interpreter ends.
_SHUTDOWN: Final = "middleware.event_logger.worker_pool.scheduler.shutdown()"

_PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "moesifapi": (_LIBRARY, _OF_ALL),
    "moesifwsgi": (
        _MIDDLEWARE.format(middleware=_WSGI_OR_ASGI.format(package="moesifwsgi")),
        _ANSWERED_EVENTS.format(pool="middleware.worker_pool"),
        _OF_ALL,
    ),
    "moesifasgi": (
        _MIDDLEWARE.format(middleware=_WSGI_OR_ASGI.format(package="moesifasgi")),
        _ANSWERED_EVENTS.format(pool="middleware.event_logger.worker_pool"),
        _OF_ALL,
        _SHUTDOWN,
    ),
    "moesifdjango": (_MIDDLEWARE.format(middleware=_DJANGO), _OF_ALL),
}


@pytest.mark.parametrize("package", _PROGRAMS)
def test_all_calls_of_a_package_succeed_and_users_and_companies_are_stored_as_sent(
    stack: Stack, api: Api, package: str
) -> None:
    users, companies = updates.users(package), updates.companies(package)
    # Warnings and tracebacks would be on stderr, which must be empty.
    printed = run_python(
        "\n".join([_MODELS, *_PROGRAMS[package], 'print("alive")']),
        BASE_URL=stack.http,
        KEY=api.application.collector_key,
        USERS=json.dumps(users),
        COMPANIES=json.dumps(companies),
    )
    assert printed == "alive\n"
    for user in users:
        assert updates.returned_user(api, user) == updates.stored_user(user)
    for company in companies:
        assert updates.returned_company(api, company) == updates.stored_company(company)
