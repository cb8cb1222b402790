"""The credentials of an application: issued, rotated and revoked."""

from datetime import UTC, datetime, timedelta

import typer

from cli.arguments import ApplicationId, CredentialId
from cli.commands.applications.options import Key, Lifetime, Overlap, Scopes, TokenName
from cli.commands.applications.presentation import EFFECT, print_issued
from cli.database import with_credentials
from cli.output import Json, note, print_result
from server.accounts.credentials import (
    StoredCredential,
    generate_collector_key,
    generate_management_token,
    generate_secret,
    issue,
    rotate,
)
from server.model import CredentialKind
from server.mongo.accounts.credentials import MongoCredentialStore

app = typer.Typer()


@app.command()
def create_token(
    application_id: ApplicationId,
    name: TokenName,
    scopes: Scopes,
    expires_in: Lifetime = None,
    as_json: Json = False,
) -> None:
    """Give an application a management token, and print it, once."""
    secret = generate_management_token()
    lifetime = None if expires_in is None else timedelta(days=expires_in)
    token = issue(application_id, CredentialKind.MANAGEMENT, secret, datetime.now(UTC), name, scopes, lifetime)
    with_credentials(lambda store: store.add(token))
    print_issued(token, secret, as_json)


@app.command()
def create_key(application_id: ApplicationId, collector_key: Key = None, as_json: Json = False) -> None:
    """Give an application another collector key, and print it, once."""
    secret = collector_key or generate_collector_key()
    key = issue(application_id, CredentialKind.COLLECTOR, secret, datetime.now(UTC))
    with_credentials(lambda store: store.add(key))
    print_issued(key, secret, as_json)


@app.command("rotate")
def rotate_(credential_id: CredentialId, overlap: Overlap = 24.0, as_json: Json = False) -> None:
    """Replace a key or token by a new one with the same scopes. The old one expires soon."""

    async def replace(store: MongoCredentialStore) -> tuple[StoredCredential, StoredCredential, str]:
        old = await store.get(credential_id)
        secret = generate_secret(old.kind)
        old, new = rotate(old, secret, datetime.now(UTC), timedelta(hours=overlap))
        await store.replace(old, new)
        return old, new, secret

    old, new, secret = with_credentials(replace)
    print_issued(new, secret, as_json)
    note(f"{old.credential_id} works until {old.expire_time:%Y-%m-%d %H:%M} UTC. {EFFECT}")


@app.command()
def revoke(credential_id: CredentialId, as_json: Json = False) -> None:
    """Revoke a key or token."""
    with_credentials(lambda store: store.revoke(credential_id))
    print_result({"revoked": credential_id}, as_json)
    note(EFFECT)
