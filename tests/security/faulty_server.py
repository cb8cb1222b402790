"""`python -m tests.security.faulty_server`: a server with a defect: its exceptions contain the whole request."""

import sys
from typing import Any

from server import __main__
from server.rpc.parsing import ParsedRequest
from server.rpc.served_method import ServedMethod

WORD = "defect-of-server-"
"""Requests that contain this string fail."""

if __name__ == "__main__":
    changed: Any = ServedMethod
    parse = changed.parse

    async def fail(self: ServedMethod, payload: bytes, application_id: str) -> ParsedRequest:
        parsed: ParsedRequest = await parse(self, payload, application_id)
        if WORD.encode() in payload:
            raise RuntimeError(f"{WORD}{parsed}", payload)
        return parsed

    changed.parse = fail
    sys.exit(__main__.main())
