# mypy: disable-error-code="import-not-found,misc,untyped-decorator"
# mypy does not see the packages of benchmarks/.venv.
"""The application that a good team would write in an afternoon instead of running Userfold: FastAPI and Motor.

It is written to be fast: typed models, the driver's connection pool, one atomic `update_one` per request and one
unordered `bulk_write` per batch, uvicorn with uvloop, httptools and one worker per core. Its write concern is that of
Userfold. It leaves out what such an application usually leaves out: exact merging of keys with dots and of objects with
scalars, warnings, derived fields, results for the single updates of a batch, and all limits.

Run it: `PLAIN_MONGODB_URI=... PLAIN_APPLICATION_ID=... uvicorn --factory benchmarks.contenders.plain_app:VARIANT`,
with one of the functions at the end as VARIANT. Each stores its users in a database of its name.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import BaseModel, Field
from pymongo import AsyncMongoClient, UpdateOne, WriteConcern

from benchmarks.contenders.plain_batcher import Batcher
from benchmarks.contenders.plain_updates import Operation, operation, schema_operation


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


def authenticated(x_moesif_application_id: Annotated[str, Header()]) -> None:
    """Accept the credential of one application."""
    if x_moesif_application_id != os.environ["PLAIN_APPLICATION_ID"]:
        raise HTTPException(401)


def _application(
    database: str,
    *,
    client_type: Callable[..., Any] = AsyncIOMotorClient,
    operation_of: Callable[[User, str | None], Operation] = operation,
    batcher: Callable[[Any], Any] | None = None,
) -> FastAPI:
    """The application on a database. A `batcher` gathers the updates of concurrent requests."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        client = client_type(os.environ["PLAIN_MONGODB_URI"], tz_aware=True)
        concern = WriteConcern(w="majority", j=True)
        app.state.users = client[database].get_collection("profiles", write_concern=concern)
        app.state.writer = batcher(app.state.users) if batcher else app.state.users
        yield
        if closing := client.close():
            await closing

    app = FastAPI(lifespan=lifespan, dependencies=[Depends(authenticated)])

    @app.post("/v1/users", status_code=201)
    async def update_user(user: User, request: Request) -> dict[str, str]:
        criteria, update = operation_of(user, request.client.host if request.client else None)
        await request.app.state.writer.update_one(criteria, update, upsert=True)
        return {}

    @app.post("/v1/users/batch", status_code=201)
    async def update_users(users: list[User], request: Request) -> dict[str, str]:
        host = request.client.host if request.client else None
        operations = [UpdateOne(*operation_of(user, host), upsert=True) for user in users]
        if operations:
            await request.app.state.users.bulk_write(operations, ordered=False)
        return {}

    @app.get("/v1/users/{user_id}")
    async def get_user(user_id: str, request: Request) -> dict[str, Any]:
        # With the number of session tokens instead of their digests.
        user: dict[str, Any] | None = await request.app.state.users.find_one({"_id": user_id})
        if user is None:
            raise HTTPException(404)
        return user | {"aliases": len(user.get("aliases", ()))}

    return app


def plain() -> FastAPI:
    """The application as it is described above."""
    return _application("plain")


def plain_schema() -> FastAPI:
    """With Userfold's validator and indexes, which the benchmark creates, and with the first campaign kept."""
    return _application("plain_schema", operation_of=schema_operation)


def plain_batcher() -> FastAPI:
    """Single updates are gathered into bulk writes."""
    return _application("plain_batcher", batcher=Batcher)


def plain_pymongo() -> FastAPI:
    """On PyMongo's asynchronous client instead of Motor, which is deprecated."""
    return _application("plain_pymongo", client_type=AsyncMongoClient)
