"""Where profiles and applications are kept: the only code that knows MongoDB's drivers."""

import os

from server.mongo.driver import THREADS

# Motor reads it once, when it is imported.
os.environ.setdefault("MOTOR_MAX_WORKERS", str(THREADS))
