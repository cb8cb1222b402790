from tests.test_recordings import connected, request, _with_key
import pytest
@pytest.mark.parametrize("kind", ["h2c", "ws", "chunked","http10", "smuggle"])
def test_probe(kind, stack, api):
    b=b'{"user_id":"u"}'
    with connected(stack) as c:
        raw={"h2c":request(b, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
         "ws":request(b, b"Connection: Upgrade", b"Upgrade: websocket"),
         "chunked": b"POST /v1/users HTTP/1.1\r\nHost: x\r\nX-Moesif-Application-Id: KEY\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n"+b+b"\r\n0\r\n\r\n",
         "http10": b"POST /v1/users HTTP/1.0\r\nX-Moesif-Application-Id: KEY\r\nContent-Length: 15\r\n\r\n"+b,
         "smuggle": b"POST /v1/users HTTP/1.1\r\nHost: x\r\nX-Moesif-Application-Id: KEY\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n"+b+b"\r\n0\r\n\r\n",
        }[kind]
        raw=_with_key(raw, api)
        print(kind)
        for attempt in (1, 2):
            try:
                a=c.answer(raw); print(attempt, a.status, a.body, a.headers.get("connection"))
            except Exception as e: print(attempt, type(e), e); break
