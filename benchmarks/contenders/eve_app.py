# mypy: disable-error-code="import-not-found"
# mypy does not see the packages of benchmarks/.venv.
"""Eve, the REST framework for MongoDB, configured to store profiles: `gunicorn benchmarks.contenders.eve_app:app`.

`PUT /users/ID` creates a profile (`UPSERT_ON_PUT`) or replaces it: Eve has no merge that also creates. A batch is a
bulk `POST`, which can only insert: Eve has no bulk upsert. Links, ETag checks and XML are off, because they cost time
and the benchmark does not need them.
"""

import os
from typing import Any

from eve import Eve

_STRING = {"type": "string"}
_SETTINGS: dict[str, Any] = {
    "MONGO_URI": os.environ["EVE_MONGODB_URI"],
    # Eve cannot pass `j`. In a replica set, `majority` includes the journal (`writeConcernMajorityJournalDefault`).
    "MONGO_WRITE_CONCERN": {"w": "majority"},
    "RENDERERS": ["eve.render.JSONRenderer"],
    "RESOURCE_METHODS": ["GET", "POST"],
    "ITEM_METHODS": ["GET", "PUT"],
    "UPSERT_ON_PUT": True,
    "BULK_ENABLED": True,
    "IF_MATCH": False,
    "HATEOAS": False,
    "DOMAIN": {
        "users": {
            "item_url": 'regex("[a-z0-9-]+")',
            "schema": {
                "_id": _STRING,
                "user_id": _STRING | {"required": True, "minlength": 1, "maxlength": 512},
                "company_id": _STRING,
                "session_token": _STRING,
                "campaign": {"type": "dict", "allow_unknown": True},
                "metadata": {"type": "dict", "allow_unknown": True},
            },
        }
    },
}

app = Eve(settings=_SETTINGS)
