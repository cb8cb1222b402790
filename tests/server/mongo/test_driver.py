"""The driver's settings."""

import pytest
from motor.frameworks.asyncio import max_workers

from server import limits
from server.commit import lookup_batcher, write_batcher
from server.mongo.client import connect
from server.mongo.driver import CREDENTIAL_SECONDS, THREADS, WRITE_SECONDS, options_for
from server.mongo.writes import conditional


def test_a_write_is_answered_before_client_libraries_give_up() -> None:
    assert CREDENTIAL_SECONDS < WRITE_SECONDS < 9.0


@pytest.mark.parametrize(
    ("uri", "name", "value"),
    [
        ("mongodb://a,b/?replicaSet=r&heartbeatfrequencyms=5000", "heartbeatFrequencyMS", None),
        ("mongodb://a/?retryWrites=false", "retryWrites", None),
        ("mongodb+srv://u:p%40@a/x?connectTimeoutMS=", "connectTimeoutMS", None),
        ("mongodb://a/?replicaSet=r", "retryWrites", True),
        ("mongodb://a", "connectTimeoutMS", 2_000),
    ],
)
def test_options_in_the_uri_win(uri: str, name: str, value: object) -> None:
    assert options_for(uri).get(name) == value


async def test_the_driver_applies_the_options_in_the_uri() -> None:
    client = connect("mongodb://127.0.0.1:9/?maxPoolSize=7&connectTimeoutMS=500&appName=mine")
    options = client.delegate.options
    assert options.pool_options.max_pool_size == 7
    assert options.pool_options.connect_timeout == 0.5
    assert options.pool_options.appname == "mine"
    assert options.retry_writes
    client.close()


def test_no_kind_of_call_waits_for_another_ones_threads() -> None:
    at_once = limits.QUERIES_AT_ONCE + limits.CHANGES_AT_ONCE
    # Single users, and look-ups with a query of their own; then the groups.
    at_once += 2 * limits.LOOK_UPS_AT_ONCE + write_batcher.GROUPS + lookup_batcher.GROUPS
    at_once += limits.DRY_RUNS_AT_ONCE + conditional.AT_ONCE
    # A credential, MongoDB's health, the schema.
    assert at_once + 3 < THREADS
    assert max_workers == THREADS
