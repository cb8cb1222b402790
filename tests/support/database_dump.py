"""All that a MongoDB holds, as bytes."""

from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

OPLOG = "local.oplog.rs"
"""Where MongoDB keeps what was written, until it is written over."""


def dump(client: MongoClient[dict[str, Any]]) -> dict[str, bytes]:
    """The bytes of all documents of each collection of each database."""
    options = client.codec_options.with_options(document_class=RawBSONDocument)
    return {
        f"{database}.{name}": b"".join(document.raw for document in client[database][name].with_options(options).find())
        for database in client.list_database_names()
        for name in client[database].list_collection_names()
    }
