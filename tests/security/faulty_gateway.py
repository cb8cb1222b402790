"""`python -m tests.security.faulty_gateway`: a gateway with a defect, whose exceptions hold all that a request says."""

import sys
from typing import Any

from gateway import __main__
from gateway.calls.transcoder import Transcoder
from gateway.http.messages import Request
from gateway.upstream.credential_cache import Caller

WORD = "defect-of-gateway-"
"""What a request must hold somewhere for the defect to show."""

if __name__ == "__main__":
    changed: Any = Transcoder
    answer = changed.answer

    def fail(self: Transcoder, fields: dict[str, str], caller: Caller, request: Request, done: Any) -> Any:
        said = f"{fields} {request.query!r} {request.body!r} {request.headers}"
        if WORD in said:
            raise RuntimeError(said)
        return answer(self, fields, caller, request, done)

    changed.answer = fail
    sys.exit(__main__.main())
