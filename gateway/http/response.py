"""An answer as the bytes of an HTTP/1.1 response."""

from functools import lru_cache
from http import HTTPStatus
from typing import Final

import orjson

from gateway.errors.answer import NO_ROOM, Answer
from gateway.http.cors import EXPOSED, ORIGIN

_ORIGIN = f"{ORIGIN[0]}: {ORIGIN[1]}\r\n".encode()
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus} | {499: "Client Closed Request"}
_NO_CONTENT = 204

# What nearly all updates are answered.
_SAVED = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 2\r\n" + _ORIGIN


def response_bytes(answer: Answer, date: bytes, *, closes: bool = False, is_head: bool = False) -> bytes:
    """The response, with the whole header line `date` in it.

    It says so if the connection `closes` behind it; to HEAD it tells a body's length alone.
    """
    if answer.http == 201 and not (answer.body or answer.headers or closes):
        return b"%b%b\r\n{}" % (_SAVED, date)
    content = b"" if answer.http == _NO_CONTENT else orjson.dumps(answer.body)
    lines = [f"HTTP/1.1 {answer.http} {_PHRASES[answer.http]}"]
    if content:
        lines += ["content-type: application/json", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if answer.headers and (exposed := [name for name in answer.headers if name in EXPOSED]):
        lines.append(f"access-control-expose-headers: {', '.join(exposed)}")
    if closes and "connection" not in answer.headers:
        lines.append("connection: close")
    head = "\r\n".join([*lines, ""]).encode("latin-1")
    return b"%b%b%b\r\n%b" % (head, _ORIGIN, date, b"" if is_head else content)


@lru_cache(maxsize=1)
def no_room_bytes(date: bytes) -> bytes:
    """The response to all for whom there is no room, of whom there may be thousands in a second."""
    return response_bytes(NO_ROOM, date)
