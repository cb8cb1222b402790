"""Random sequences of updates, read back over HTTP and gRPC, are what the reference merge expects."""

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from userfold.v1.user_pb2 import User
from userfold.v1.user_service_pb2 import GetUserRequest
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from tests.support.expected_profile import ReferenceProfile
from tests.support.stack import Api, Stack
from tests.support.strategies import UPDATES

pytestmark = pytest.mark.long

_CLIENT = "127.0.0.1"

_numbers = itertools.count()

# All examples share one application: each has its own user.
_settings = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def read_over_grpc(stack: Stack, api: Api) -> Iterator[Callable[[str], User]]:
    metadata = (("authorization", f"Bearer {api.application.management_token}"),)
    with grpc.insecure_channel(stack.grpc) as channel:
        stub = UserServiceStub(channel)
        yield lambda user_id: stub.GetUser(GetUserRequest(user_id=user_id), timeout=10, metadata=metadata).user


def _check(profile: dict[str, Any], reference: ReferenceProfile) -> None:
    assert profile["metadata"] == reference.metadata
    assert profile.get("campaign", {}) == reference.campaign
    for name in ("initial_campaign", "latest_campaign"):
        assert profile.get(name, {}) == getattr(reference, name)
        _check_campaign_time(profile, name, getattr(reference, f"{name}_time"))
    assert profile.get("alias_count", profile.get("aliasCount", 0)) == len(reference.tokens)
    for name in ("company_id", "user_agent_string", "anonymous_id"):
        assert profile.get(name) == reference.fields.get(name)
    assert profile.get("ip_address") == reference.fields.get("ip_address", reference.observed_ip_address)
    assert profile.get("observed_ip_address") == reference.observed_ip_address


def _check_campaign_time(profile: dict[str, Any], name: str, sent: str | None) -> None:
    time = profile.get(f"{name}_time")
    if sent is None:
        # The server's time.
        assert (time is not None) == (name in profile)
    else:
        # It is stored to the millisecond.
        assert time == sent.replace("901234Z", "Z")


def _check_time(text: str, reference: ReferenceProfile) -> None:
    expected = reference.fields.get("modified_time")
    if expected is not None and reference.last_modified_time_was_sent:
        assert text == expected
    else:
        assert datetime.fromisoformat(text)


@_settings
@given(st.lists(UPDATES, min_size=1, max_size=5))
def test_a_sequence_of_updates_reads_back_as_the_reference_expects(
    api: Api, read_over_grpc: Callable[[str], User], updates: list[dict[str, Any]]
) -> None:
    user_id = f"sequence/{next(_numbers)}"
    reference = ReferenceProfile()
    for update in updates:
        answer = api.update({"user_id": user_id} | update)
        assert answer.status_code == 201, answer.text
        reference.fold(update, _CLIENT)
    profile = api.get(user_id).json()
    _check(profile, reference)
    _check_time(profile["modified_time"], reference)
    message = read_over_grpc(user_id)
    _check(MessageToDict(message, preserving_proto_field_name=True) | {"alias_count": message.alias_count}, reference)


@_settings
@given(st.lists(st.tuples(st.sampled_from("abc"), UPDATES), min_size=1, max_size=8))
def test_a_batch_reads_back_as_its_updates_in_order(api: Api, updates: list[tuple[str, dict[str, Any]]]) -> None:
    number = next(_numbers)
    references: dict[str, ReferenceProfile] = {}
    for name, update in updates:
        references.setdefault(f"batch/{number}/{name}", ReferenceProfile()).fold(update, _CLIENT)
    answer = api.batch([{"user_id": f"batch/{number}/{name}"} | update for name, update in updates])
    assert answer.status_code == 201, answer.text
    for user_id, reference in references.items():
        _check(api.get(user_id).json(), reference)
