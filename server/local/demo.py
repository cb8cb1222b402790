"""The demo application of `make run`: its keys, which are made once for a data directory, and its registration."""

import asyncio
import os
import re
import shlex
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from server.accounts.credentials import (
    first_credentials,
    generate_application_id,
    generate_collector_key,
    generate_management_token,
)
from server.errors import DatabaseUnavailable, OperatorError
from server.mongo.accounts.applications import MongoApplicationStore
from server.mongo.client import connect, open_database
from server.mongo.migrations import MIGRATIONS, version_after
from server.mongo.schema import prepare
from server.settings import InvalidSetting

_LINE = re.compile(r"^(\w+)=([\w-]+)$", re.MULTILINE)
# What version 0.1 wrote.
_FORMER_NAMES = {"application": "application_id", "application_id": "collector_key"}


class DemoKeysDamaged(OperatorError):
    """The file with the keys does not hold all of them."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is damaged: delete it to have new keys made")


@dataclass(frozen=True, slots=True)
class DemoApplication:
    """The id of the demo application, and its credentials."""

    application_id: str
    collector_key: str = field(repr=False)
    management_token: str = field(repr=False)

    @classmethod
    def of(cls, data_dir: Path) -> Self:
        """The application whose keys are in `demo.env` of the directory, a file that a shell can source.

        Sourced, it also sets USERFOLD_TOKEN, with which `userfold` calls the server, and puts `userfold` on the PATH.
        Raises DemoKeysDamaged.
        """
        path = data_dir / "demo.env"
        if not path.exists():
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            cls(generate_application_id(), generate_collector_key(), generate_management_token())._write(path)
        keys = dict(_LINE.findall(path.read_text()))
        is_former = "application" in keys
        if is_former:
            keys = {_FORMER_NAMES.get(name, name): value for name, value in keys.items()}
        if keys.keys() != {"application_id", "collector_key", "management_token"}:
            raise DemoKeysDamaged(path)
        demo = cls(**keys)
        if is_former:
            demo._write(path)
        return demo

    def register(self, uri: str, database: str) -> None:
        """Register it with all scopes, unless it is registered.

        A registered application is not changed, so that credentials that were revoked or have expired do not come
        back. Raises CredentialTaken, or InvalidSetting where the database cannot be used.
        """
        asyncio.run(self._register(uri, database))

    async def _register(self, uri: str, name: str) -> None:
        now = datetime.now(UTC)
        client = connect(uri)
        try:
            database = open_database(client, name)
            await prepare(database, version_after(MIGRATIONS))
            await MongoApplicationStore(database).ensure(
                self.application_id,
                "Demo",
                first_credentials(self.application_id, self.collector_key, self.management_token, now),
                now,
            )
        except DatabaseUnavailable as error:
            raise InvalidSetting("the MongoDB of USERFOLD_MONGODB_URI does not answer") from error
        finally:
            client.close()

    def _write(self, path: Path) -> None:
        draft = path.with_suffix(".new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(f"application_id={self.application_id}\ncollector_key={self.collector_key}\n")
            file.write(f"management_token={self.management_token}\nexport USERFOLD_TOKEN={self.management_token}\n")
            file.write(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH\n")
        draft.replace(path)  # Never a part of it.
