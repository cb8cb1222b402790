# mypy: disable-error-code="import-not-found"
# Eve is installed in benchmarks/.venv, which mypy does not see.
"""Eve, the REST framework over MongoDB, set up for the same job: `gunicorn benchmarks.contenders.eve_app:app`.

A profile is written with `PUT /users/ID`, which creates it where it is not there (`UPSERT_ON_PUT`) and replaces it
where it is: Eve has no merge that creates. A batch is a bulk `POST`, which can only insert: Eve has no bulk upsert.
What costs time and is not needed here is off: links, ETag checks, XML.
"""

import os
from typing import Any

from eve import Eve

_TEXT = {"type": "string"}
_SETTINGS: dict[str, Any] = {
    "MONGO_URI": os.environ["EVE_MONGODB_URI"],
    # In a replica set, that includes the journal (`writeConcernMajorityJournalDefault`); Eve passes on no `j`.
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
                "_id": _TEXT,
                "user_id": _TEXT | {"required": True, "minlength": 1, "maxlength": 512},
                "company_id": _TEXT,
                "session_token": _TEXT,
                "campaign": {"type": "dict", "allow_unknown": True},
                "metadata": {"type": "dict", "allow_unknown": True},
            },
        }
    },
}

app = Eve(settings=_SETTINGS)
