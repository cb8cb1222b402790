# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
# mypy does not see the packages of benchmarks/.venv.
"""The application that a good team would write in an afternoon instead of running Userfold: FastAPI and Motor.

It is written to be fast: typed models, the driver's connection pool, one atomic `update_one` per request and one
unordered `bulk_write` per batch, uvicorn with uvloop, httptools and one worker per core. Its write concern is that of
Userfold. It leaves out what such an application usually leaves out: exact merging of keys with dots and of objects with
scalars, warnings, derived fields, results for the single updates of a batch, and all limits.

Run it: `PLAIN_MONGODB_URI=... PLAIN_APPLICATION_ID=... uvicorn benchmarks.contenders.plain_app:app`.
"""

import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import BaseModel, Field
from pymongo import UpdateOne, WriteConcern


class Campaign(BaseModel):
    """The campaign through which a user arrived."""

    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None
    referrer: str | None = None
    referring_domain: str | None = None
    gclid: str | None = None


class User(BaseModel):
    """A partial update of a user."""

    user_id: str = Field(min_length=1, max_length=512)
    company_id: str | None = None
    session_token: str | None = None
    modified_time: datetime | None = None
    ip_address: str | None = None
    user_agent_string: str | None = None
    campaign: Campaign | None = None
    metadata: dict[str, Any] | None = None


def flatten(values: Mapping[str, Any], prefix: str, paths: dict[str, Any]) -> None:
    """Add the leaves of nested objects to `paths` under their dot-paths."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flatten(value, f"{prefix}{key}.", paths)
        else:
            paths[prefix + key] = value


def operation(user: User, client_address: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The filter and the update document that merge a partial update into the stored user."""
    now = datetime.now(UTC)
    paths: dict[str, Any] = {"modified_time": user.modified_time or now}
    for name in ("company_id", "user_agent_string"):
        if (value := getattr(user, name)) is not None:
            paths[name] = value
    if address := user.ip_address or client_address:
        paths["ip_address"] = address
    if user.campaign:
        flatten(user.campaign.model_dump(exclude_none=True), "campaign.", paths)
    if user.metadata:
        flatten(user.metadata, "metadata.", paths)
    update: dict[str, Any] = {"$set": paths, "$setOnInsert": {"created_time": now}}
    if user.session_token:
        update["$addToSet"] = {"aliases": hashlib.sha256(user.session_token.encode()).digest()}
    return {"_id": user.user_id}, update


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the MongoDB client of this worker."""
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(os.environ["PLAIN_MONGODB_URI"], tz_aware=True)
    app.state.users = client["plain"].get_collection("users", write_concern=WriteConcern(w="majority", j=True))
    yield
    client.close()


def authenticated(x_moesif_application_id: Annotated[str, Header()]) -> None:
    """Accept the credential of one application."""
    if x_moesif_application_id != os.environ["PLAIN_APPLICATION_ID"]:
        raise HTTPException(401)


app = FastAPI(lifespan=lifespan, dependencies=[Depends(authenticated)])


@app.post("/v1/users", status_code=201)
async def update_user(user: User, request: Request) -> dict[str, str]:
    """Merge one update."""
    criteria, update = operation(user, request.client.host if request.client else None)
    await request.app.state.users.update_one(criteria, update, upsert=True)
    return {}


@app.post("/v1/users/batch", status_code=201)
async def update_users(users: list[User], request: Request) -> dict[str, str]:
    """Merge a batch of updates."""
    host = request.client.host if request.client else None
    operations = [UpdateOne(*operation(user, host), upsert=True) for user in users]
    if operations:
        await request.app.state.users.bulk_write(operations, ordered=False)
    return {}


@app.get("/v1/users/{user_id}")
async def get_user(user_id: str, request: Request) -> dict[str, Any]:
    """Return a user, with the number of session tokens instead of their digests."""
    user: dict[str, Any] | None = await request.app.state.users.find_one({"_id": user_id})
    if user is None:
        raise HTTPException(404)
    return user | {"aliases": len(user.get("aliases", ()))}
