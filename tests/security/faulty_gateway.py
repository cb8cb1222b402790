"""`python -m tests.security.faulty_gateway`: a gateway with a defect: its exceptions contain the whole request."""

import sys
from typing import Any

from gateway import __main__
from gateway.calls.transcoder import Transcoder
from gateway.http.messages import Request
from gateway.upstream.credential_cache import Caller

WORD = "defect-of-gateway-"
"""Requests that contain this string fail."""

if __name__ == "__main__":
    changed: Any = Transcoder
    answer = changed.answer

    def fail(self: Transcoder, fields: dict[str, str], caller: Caller, request: Request, done: Any) -> Any:
        request_text = f"{fields} {request.query!r} {request.body!r} {request.headers}"
        if WORD in request_text:
            raise RuntimeError(request_text)
        return answer(self, fields, caller, request, done)

    changed.answer = fail
    sys.exit(__main__.main())
