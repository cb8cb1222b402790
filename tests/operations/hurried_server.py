"""`python -m tests.operations.hurried_server`: a server that waits only a second for calls in flight when it stops."""

import sys

from server import __main__, bootstrap

GRACE_SECONDS = 1.0

if __name__ == "__main__":
    bootstrap.GRACE_SECONDS = GRACE_SECONDS
    sys.exit(__main__.main())
