"""`python -m tests.security.faulty_server`: a server with a defect: its exceptions contain the whole request."""

import sys
from typing import Any

from google.protobuf.message import Message

from server import __main__
from server.rpc import parsing

WORD = "defect-of-server-"
"""Requests that contain this string fail."""

if __name__ == "__main__":
    changed: Any = parsing
    parse = changed.parse

    def fail(payload: bytes, request_class: type[Message]) -> Message:
        request: Message = parse(payload, request_class)
        if WORD.encode() in payload:
            raise RuntimeError(f"{WORD}{request}", payload)
        return request

    changed.parse = fail
    sys.exit(__main__.main())
