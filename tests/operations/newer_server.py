"""`python -m tests.operations.newer_server`: the server, whose migrations take small steps that a test can watch."""

import sys
from typing import Any

from server import __main__
from server.mongo import migrations

if __name__ == "__main__":
    changed: Any = migrations
    changed.SLICE, changed.BEAT_SECONDS, changed.LEASE_MS = 100, 0.2, 1000
    sys.exit(__main__.main())
