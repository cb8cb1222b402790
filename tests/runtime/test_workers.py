"""The address that workers share."""

import socket

import pytest

from runtime.workers import is_worker, kept_address


def test_a_free_port_is_reserved_for_workers() -> None:
    with kept_address("127.0.0.1", 0) as port:
        with socket.create_server(("127.0.0.1", port), reuse_port=True):
            pass
        with pytest.raises(OSError, match="in use"), kept_address("127.0.0.1", port):
            pass


def test_an_address_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError, match="in use"), kept_address("127.0.0.1", port):
            pass


def test_connections_of_an_ended_program_do_not_block_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            # Closed by the server's side first: its connection stays in TIME_WAIT.
            listening.accept()[0].close()
            assert client.recv(1) == b""
    with kept_address("127.0.0.1", port), socket.create_server(("127.0.0.1", port), reuse_port=True):
        pass


def test_a_process_is_no_worker_without_its_parents_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["x", "worker-of", "1"])
    assert not is_worker()
