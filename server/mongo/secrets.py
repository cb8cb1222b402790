"""Secrets that all servers share."""

from cryptography.fernet import Fernet
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from server.mongo.client import Database
from server.settings import InvalidSetting


async def page_token_key(database: Database) -> bytes:
    """The key that encrypts page tokens. The first server generates it, and all servers use the same.

    To invalidate all tokens, delete it and restart the servers. Raises InvalidSetting if it cannot be stored.
    """
    try:
        document = await database.get_collection("secrets").find_one_and_update(
            {"_id": "page_tokens"},
            {"$setOnInsert": {"key": Fernet.generate_key()}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
    except PyMongoError as error:
        raise InvalidSetting(
            f"a key cannot be kept in the MongoDB of USERFOLD_MONGODB_URI ({type(error).__name__})"
        ) from error
    key: bytes = document["key"]
    return key
