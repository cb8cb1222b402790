"""`python -m tests.operations.older_server`: a server of the version before the latest migration.

It stores the latest anonymous id of a user alone, makes no visitor a user, and follows no pointer.
"""

import sys
from typing import Any

from server import __main__
from server.errors import DatabaseUnavailable
from server.model import ProfileWrite
from server.mongo import migrations
from server.mongo.identity.redirects import Redirects
from server.mongo.writes import profiles
from server.users import update


async def _refuse(_: Redirects, __: ProfileWrite) -> DatabaseUnavailable:
    return DatabaseUnavailable()


if __name__ == "__main__":
    changed: Any = migrations
    changed.MIGRATIONS = migrations.MIGRATIONS[:-1]
    planner: Any = update
    planner._identifying = lambda _: ()
    store: Any = profiles
    store.changes_anonymous_id = lambda _: False
    redirects: Any = Redirects
    redirects.apply = _refuse
    sys.exit(__main__.main())
