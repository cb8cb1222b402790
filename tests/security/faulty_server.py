"""`python -m tests.security.faulty_server`: a server with a defect, whose exceptions hold all that a request says."""

import sys
from typing import Any, TypeVar

from google.protobuf.message import Message

from server import __main__
from server.rpc import invocation

WORD = "defect-of-server-"
"""What a request must hold somewhere for the defect to show."""

_Message = TypeVar("_Message", bound=Message)

if __name__ == "__main__":
    changed: Any = invocation
    parse = changed.parse

    def fail(text: bytes, message: type[_Message]) -> _Message:
        parsed: _Message = parse(text, message)
        if WORD.encode() in text:
            raise RuntimeError(f"{WORD}{parsed}", text)
        return parsed

    changed.parse = fail
    sys.exit(__main__.main())
