"""Applications and credentials, as tables and as JSON. Neither holds a secret or a digest."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from cli.output import note, print_result
from server.accounts.applications import StoredApplication
from server.accounts.credentials import KIND_NAMES, StoredCredential
from server.model import CredentialKind

EFFECT: Final = "Running servers apply this within 30 seconds."
HEADINGS: Final = ("CREDENTIAL ID", "KIND", "NAME", "SCOPES", "CREATED", "EXPIRES", "LAST USED")

_KINDS: Final = {CredentialKind.COLLECTOR: "collector key", CredentialKind.MANAGEMENT: "management token"}


def print_issued(credential: StoredCredential, secret: str, as_json: bool) -> None:
    """Print a new credential with its secret, which is shown this once."""
    values = {"credential_id": credential.credential_id, "name": credential.name, KIND_NAMES[credential.kind]: secret}
    print_result({name: value for name, value in values.items() if value}, as_json)
    note("Keep it: it cannot be shown again.")


def row_of(credential: StoredCredential, now: datetime) -> tuple[object, ...]:
    """The cells of a credential, below HEADINGS. Times are in UTC."""
    return (
        credential.credential_id,
        _KINDS[credential.kind],
        credential.name or None,
        ",".join(sorted(credential.scopes)) or None,
        f"{credential.created_time:%Y-%m-%d %H:%M}",
        _end(credential, now),
        f"{credential.last_used_time:%Y-%m-%d %H:%M}" if credential.last_used_time else None,
    )


def json_of(
    application: StoredApplication, credentials: Sequence[StoredCredential], *, now: datetime
) -> dict[str, object]:
    """An application and its credentials, for JSON."""
    return {
        "application_id": application.application_id,
        "name": application.name,
        "credentials": [
            {
                "credential_id": each.credential_id,
                "kind": KIND_NAMES[each.kind],
                "name": each.name,
                "scopes": sorted(each.scopes),
                "created_time": each.created_time,
                "expire_time": each.expire_time,
                "expired": each.expire_time is not None and each.expire_time <= now,
                "replaced_by": each.replaced_by,
                "last_used_time": each.last_used_time,
            }
            for each in credentials
        ],
    }


def _end(credential: StoredCredential, now: datetime) -> str:
    if credential.expire_time is None:
        return "never"
    return f"{'expired ' if credential.expire_time <= now else ''}{credential.expire_time:%Y-%m-%d %H:%M}"
