"""How `initiate` fails. That it works is shown with the embedded MongoDB, in `test_mongod.py`."""

import socket

import pytest

from server.mongo import replica_set


def test_a_mongodb_that_does_not_answer_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        with pytest.raises(TimeoutError, match=f"MongoDB at {host}:{port} is not writable after 0 seconds"):
            replica_set.initiate(f"mongodb://{host}:{port}/?directConnection=true", seconds=0.2)
