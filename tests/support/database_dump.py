"""The contents of a MongoDB as bytes."""

from collections.abc import Container
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

OPLOG = "local.oplog.rs"
"""The log of writes, which MongoDB overwrites after a while."""


def dump(client: MongoClient[dict[str, Any]], *, without: Container[str] = ()) -> dict[str, bytes]:
    """The BSON of all documents, by the names of their collections, `DATABASE.COLLECTION`."""
    options = client.codec_options.with_options(document_class=RawBSONDocument)
    return {
        f"{database}.{name}": b"".join(document.raw for document in client[database][name].with_options(options).find())
        for database in client.list_database_names()
        for name in client[database].list_collection_names()
        if f"{database}.{name}" not in without
    }
