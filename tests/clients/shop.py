"""A web site whose pages load the package `moesif-browser-js` of npm as its documentation shows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final
from urllib.parse import urlsplit

from tests.clients.conftest import NODE

_LIBRARY: Final = NODE / "node_modules" / "moesif-browser-js" / "moesif.min.js"

_PAGE: Final = """<!doctype html>
<title>Shop</title>
<link rel="icon" href="data:,">
<script src="/moesif.min.js"></script>
<script>
  moesif.init({options});
</script>
"""


@contextmanager
def open_shop(api: str, key: str) -> Iterator[str]:
    """The address of the site until the end of the block. The library sends to this API, with this collector key."""
    options = json.dumps({"applicationId": key, "host": urlsplit(api).netloc})
    page = _PAGE.replace("{options}", options).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_library = urlsplit(self.path).path == "/moesif.min.js"
            body = _LIBRARY.read_bytes() if is_library else page
            self.send_response(200)
            self.send_header("Content-Type", "text/javascript" if is_library else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
