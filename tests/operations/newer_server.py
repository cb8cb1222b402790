"""`python -m tests.operations.newer_server`: a server of a later version, which also stores company ids in lower case.

Its migration takes small steps, so that a test can observe it.
"""

import sys
from typing import Any

from server import __main__
from server.mongo import migrations
from server.mongo.migrations import MIGRATIONS, Migration
from server.users import update

MIGRATION = Migration(
    collection="profiles",
    pending={
        "company_id": {"$exists": True},
        "$expr": {"$ne": ["$company_key", {"$toLower": "$company_id"}]},
    },
    update=[{"$set": {"company_key": {"$toLower": "$company_id"}}}],
    oldest_program=1,
)

if __name__ == "__main__":
    changed: Any = migrations
    changed.MIGRATIONS = (*MIGRATIONS, MIGRATION)
    changed.SLICE, changed.BEAT_SECONDS, changed.LEASE_MS = 100, 0.2, 1000
    planner: Any = update._Plan
    envelope = planner.envelope

    def envelope_with_key(plan: Any, *arguments: object) -> None:
        envelope(plan, *arguments)
        if "company_id" in plan.sets:
            plan.sets["company_key"] = plan.sets["company_id"].lower()

    planner.envelope = envelope_with_key
    sys.exit(__main__.main())
