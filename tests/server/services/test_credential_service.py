"""CheckCredential, which a gateway calls before it reads the body of a request."""

from dataclasses import replace

import pytest
from userfold.internal.v1.credential_service_pb2 import CheckCredentialRequest

from server.model import CredentialKind
from tests.server.served import KEY, Served, refused

_REQUEST = CheckCredentialRequest()


@pytest.mark.parametrize("kind", CredentialKind)
async def test_every_known_credential_gets_its_application_whatever_its_scopes(
    served: Served, kind: CredentialKind
) -> None:
    assert served.credential
    served.credential = replace(served.credential, kind=kind, scopes=frozenset())
    metadata = KEY if kind is CredentialKind.COLLECTOR else (("authorization", "Bearer key"),)
    for _ in range(50):  # More than the rate limit allows.
        response = await served.credentials.CheckCredential(_REQUEST, metadata=metadata)
        assert response.application_id == "app"


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [((), "CREDENTIAL_MISSING"), ((("x-moesif-application-id", "other"),), "CREDENTIAL_UNKNOWN")],
)
async def test_a_missing_or_unknown_credential_is_refused(
    served: Served, metadata: tuple[tuple[str, str], ...], reason: str
) -> None:
    assert await refused(served.credentials.CheckCredential(_REQUEST, metadata=metadata)) == (reason, 0)


async def test_it_is_served_where_updates_have_no_room_and_refused_where_calls_have_none(served: Served) -> None:
    served.is_full = True
    await served.credentials.CheckCredential(_REQUEST, metadata=KEY)
    served.admission.calls.free = 0
    assert await refused(served.credentials.CheckCredential(_REQUEST, metadata=KEY)) == ("OVERLOADED", 1)
