"""What the gateway asks about a credential before it reads the rest of a request."""

from typing import Any

from userfold.internal.v1 import credential_service_pb2 as pb

from server.rpc.call import CONTRACT_VERSION, current_call


class CredentialService:
    """Serves `userfold.internal.v1.CredentialService`. `dispatch` has found the credential by the time of the call."""

    async def CheckCredential(self, request: pb.CheckCredentialRequest, context: Any) -> pb.CheckCredentialResponse:
        application_id = current_call().application.application_id
        return pb.CheckCredentialResponse(application_id=application_id, contract=CONTRACT_VERSION)
