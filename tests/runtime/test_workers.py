"""The address that workers share."""

import socket

import pytest

from runtime.workers import is_worker, kept_address


def test_a_free_port_is_kept_for_those_who_share_it() -> None:
    with kept_address("127.0.0.1", 0) as port:
        with socket.create_server(("127.0.0.1", port), reuse_port=True):
            pass
        with pytest.raises(OSError, match="in use"), kept_address("127.0.0.1", port):
            pass


def test_an_address_that_somebody_listens_on_is_not_had() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="in use"), kept_address("127.0.0.1", port):
            pass


def test_what_a_program_without_workers_left_behind_is_no_obstacle() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            # Closed by the server's side first: its connection stays in TIME_WAIT.
            listening.accept()[0].close()
            assert client.recv(1) == b""
    with kept_address("127.0.0.1", port), socket.create_server(("127.0.0.1", port), reuse_port=True):
        pass


def test_nobody_is_a_worker_by_the_word_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["x", "worker-of", "1"])
    assert not is_worker()
