"""What the connection itself does, beside uvicorn."""

import asyncio
from typing import Any

from gateway.http11 import _OneWrite
from tests.gateway.fakes import FakeUserService, Gateway


class FakeTransport:
    """Keeps what is written, until it is closed."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str) -> str:
        return name


async def test_what_is_written_in_one_turn_of_the_loop_is_one_write() -> None:
    transport: Any = FakeTransport()
    one = _OneWrite(transport)
    one.write(b"head ")
    one.write(b"body")
    assert transport.written == []
    await asyncio.sleep(0)
    one.write(b"next")
    await asyncio.sleep(0)
    assert transport.written == [b"head body", b"next"]
    assert one.get_extra_info("peername") == "peername"


async def test_what_is_written_before_the_end_is_sent_and_what_is_written_after_it_is_not() -> None:
    transport: Any = FakeTransport()
    one = _OneWrite(transport)
    one.write(b"last")
    one.close()
    one.write(b"late")
    await asyncio.sleep(0)
    assert (transport.written, one.is_closing()) == ([b"last"], True)


async def test_an_answer_is_one_packet(gateway: Gateway, service: FakeUserService) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.url.rpartition(":")[2]))
    writer.write(b"POST /v1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 15\r\n\r\n" + b'{"user_id":"1"}')
    answer = await reader.read(4096)
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 201 Created\r\n")
    assert answer.endswith(b"\r\n\r\n{}")
