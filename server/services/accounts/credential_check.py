"""The methods of the internal CredentialService, which gateways call before they read the body of a request."""

from userfold.internal.v1 import credential_service_pb2 as pb

from server.rpc.call import CONTRACT_VERSION, Call


class CredentialCheckService:
    """Serves `userfold.internal.v1.CredentialService`. The credential of a call is verified before it is served."""

    async def CheckCredential(self, _: pb.CheckCredentialRequest, call: Call) -> pb.CheckCredentialResponse:
        return pb.CheckCredentialResponse(
            application_id=call.application_id,
            contract=CONTRACT_VERSION,
            credential_id=call.application.credential_id,
        )
