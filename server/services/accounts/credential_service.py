"""The methods of CredentialService."""

from collections.abc import Callable
from datetime import UTC, datetime

from userfold.v1 import credential_service_pb2 as pb

from server.accounts.changes import (
    NewCredential,
    kind_of,
    plan_credential,
    plan_overlap,
    require_credential_id,
    require_other,
)
from server.accounts.credentials import generate_secret, rotate
from server.accounts.ports import Applications, ManagedCredentials
from server.errors import CredentialNotFound, CredentialUnknown
from server.rpc.call import Call
from server.services.accounts.failures import application_of_call
from server.services.accounts.messages import fill_application, fill_credential
from server.services.timestamp import in_milliseconds, nanoseconds


class CredentialService:
    """Serves `userfold.v1.CredentialService`. `now` returns seconds since 1970-01-01 UTC.

    A secret is in the response to the call that generates it, and nowhere else.
    """

    def __init__(self, applications: Applications, credentials: ManagedCredentials, now: Callable[[], float]) -> None:
        self._applications = applications
        self._credentials = credentials
        self._now = now

    async def GetCurrentCredential(
        self, _: pb.GetCurrentCredentialRequest, call: Call
    ) -> pb.GetCurrentCredentialResponse:
        caller = call.application
        try:
            credential = await self._credentials.get(caller.credential_id)
        except CredentialNotFound as error:
            # It was revoked, and the server remembers it.
            raise CredentialUnknown from error
        with application_of_call():
            application = await self._applications.application(caller.application_id)
        response = pb.GetCurrentCredentialResponse(granted_scopes=sorted(caller.scopes))
        fill_credential(response.credential, credential)
        fill_application(response.application, application)
        return response

    async def ListCredentials(self, _: pb.ListCredentialsRequest, call: Call) -> pb.ListCredentialsResponse:
        response = pb.ListCredentialsResponse()
        for credential in await self._credentials.of_application(call.application_id):
            fill_credential(response.credentials.add(), credential)
        return response

    async def CreateCredential(self, request: pb.CreateCredentialRequest, call: Call) -> pb.CreateCredentialResponse:
        requested = _new_credential(request)
        secret = generate_secret(kind_of(requested))
        credential = plan_credential(call.application_id, requested, secret, self._time())
        with application_of_call():
            await self._credentials.add(credential)
        response = pb.CreateCredentialResponse(secret=secret)
        fill_credential(response.credential, credential)
        return response

    async def RotateCredential(self, request: pb.RotateCredentialRequest, call: Call) -> pb.RotateCredentialResponse:
        require_credential_id(request.credential_id)
        overlap = plan_overlap(request.overlap_hours if request.HasField("overlap_hours") else None)
        old = await self._credentials.get(request.credential_id, call.application_id)
        secret = generate_secret(old.kind)
        replaced, new = rotate(old, secret, self._time(), overlap)
        with application_of_call():
            await self._credentials.replace(replaced, new)
        response = pb.RotateCredentialResponse(secret=secret)
        fill_credential(response.credential, new)
        fill_credential(response.replaced, replaced)
        return response

    async def RevokeCredential(self, request: pb.RevokeCredentialRequest, call: Call) -> pb.RevokeCredentialResponse:
        credential_id = request.credential_id
        require_credential_id(credential_id)
        require_other(credential_id, call.application.credential_id, allow_self=request.allow_self)
        with application_of_call():
            revoked = await self._credentials.revoke_of(call.application_id, credential_id, self._time())
        return pb.RevokeCredentialResponse(revoked=revoked)

    def _time(self) -> datetime:
        return in_milliseconds(self._now())


def _new_credential(request: pb.CreateCredentialRequest) -> NewCredential:
    """The credential that a message describes. Raises InvalidRequest for a time that is none."""
    end = None
    if request.HasField("expire_time"):
        time = nanoseconds("expire_time", request.expire_time.seconds, request.expire_time.nanos)
        end = datetime.fromtimestamp(time // 10**6 / 1000, UTC)
    return NewCredential(request.display_name, request.kind, request.scopes, end)
