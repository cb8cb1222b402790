"""CheckCredential, by which a gateway finds out whose a request is before it reads the rest of it."""

from dataclasses import replace

import pytest
from userfold.internal.v1.credential_service_pb2 import CheckCredentialRequest

from server.model import CredentialKind
from tests.server.served import KEY, Served, refused

_REQUEST = CheckCredentialRequest()


@pytest.mark.parametrize("kind", CredentialKind)
async def test_every_known_credential_has_its_application_answered_whatever_its_scopes(
    served: Served, kind: CredentialKind
) -> None:
    assert served.credential
    served.credential = replace(served.credential, kind=kind, scopes=frozenset())
    metadata = KEY if kind is CredentialKind.COLLECTOR else (("authorization", "Bearer key"),)
    for _ in range(50):  # More than an application may send in these seconds.
        answer = await served.credentials.CheckCredential(_REQUEST, metadata=metadata)
        assert answer.application_id == "app"


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [((), "CREDENTIAL_MISSING"), ((("x-moesif-application-id", "other"),), "CREDENTIAL_UNKNOWN")],
)
async def test_others_are_refused_as_by_every_method(
    served: Served, metadata: tuple[tuple[str, str], ...], reason: str
) -> None:
    assert await refused(served.credentials.CheckCredential(_REQUEST, metadata=metadata)) == (reason, 0)


async def test_it_is_answered_where_updates_find_no_room_and_refused_where_no_call_does(served: Served) -> None:
    served.is_full = True
    await served.credentials.CheckCredential(_REQUEST, metadata=KEY)
    served.admission.calls.free = 0
    assert await refused(served.credentials.CheckCredential(_REQUEST, metadata=KEY)) == ("OVERLOADED", 1)
