"""What the servers know in common and tell nobody."""

from cryptography.fernet import Fernet
from pymongo import ReturnDocument
from pymongo.errors import PyMongoError

from server.mongo.client import Database
from server.settings import InvalidSetting


async def page_token_key(database: Database) -> bytes:
    """The key that seals page tokens: made by the first server that asks, and the same for all of them.

    To withdraw every token, delete it and start the servers anew. Raises InvalidSetting where MongoDB does not let us.
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
