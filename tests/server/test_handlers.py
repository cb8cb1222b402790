"""What is done around every method, on a gRPC server of the test's own, with a clock of its own."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from userfold.v1 import user_service_pb2 as pb
from userfold.v1.user_pb2 import UserUpdate
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from server.authentication import Authenticator
from server.call import current_call
from server.credentials import StoredCredential, digest
from server.handlers import handlers_of
from server.model import Kind
from server.scopes import COLLECTOR_SCOPES

_SERVICE = pb.DESCRIPTOR.services_by_name["UserService"]
_KEY = (("x-moesif-application-id", "key"),)


class FakeService:
    """Keeps the application of each call and acknowledges each message of a stream."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def serve(request: Any, context: Any) -> Any:
            self.called.append(current_call().application.application_id)
            return getattr(pb, f"{name}Response")()

        return serve

    async def StreamUpdateUsers(self, requests: Any, context: Any) -> AsyncIterator[pb.StreamUpdateUsersResponse]:
        async for _ in requests:
            self.called.append(current_call().application.application_id)
            yield pb.StreamUpdateUsersResponse(acknowledgements=[pb.Acknowledgement()])


class Served:
    """A stub of the served fake, the credential that is known to it, and the time in seconds."""

    def __init__(self) -> None:
        self.service = FakeService()
        self.credential: StoredCredential | None = StoredCredential(
            digest("key"), "c", "app", Kind.COLLECTOR, "", COLLECTOR_SCOPES, datetime.now(UTC)
        )
        self.seconds = 0.0
        self.stub: Any = None

    async def find(self, digest: bytes) -> StoredCredential | None:
        return self.credential if self.credential and self.credential.digest == digest else None


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = Served()
    authenticator = Authenticator(served, lambda: served.seconds, lambda: 0.0)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers_of(_SERVICE, served.service, authenticator),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        served.stub = UserServiceStub(channel)
        yield served
    await server.stop(None)


@pytest.mark.parametrize("method", [each.name for each in _SERVICE.methods if not each.client_streaming])
async def test_no_method_is_called_for_somebody_unknown(served: Served, method: str) -> None:
    call = getattr(served.stub, method)
    request = getattr(pb, f"{method}Request")()
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call(request, metadata=(("authorization", "Bearer key"),))
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert served.service.called == []


async def test_a_method_is_called_for_the_application_of_the_credential(served: Served) -> None:
    await served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=_KEY)
    assert served.service.called == ["app"]


async def test_a_method_without_a_scope_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.handlers.NEEDS", {})
    with pytest.raises(KeyError):
        handlers_of(_SERVICE, FakeService(), Authenticator(Served(), lambda: 0.0, lambda: 0.0))


@pytest.mark.parametrize("becomes", ["revoked", "another application's"])
async def test_a_stream_does_not_outlive_its_credential(served: Served, becomes: str) -> None:
    message = pb.StreamUpdateUsersRequest(users=[UserUpdate(user_id="u")])
    call = served.stub.StreamUpdateUsers(metadata=_KEY)
    await call.write(message)
    assert (await call.read()).acknowledgements
    assert served.credential
    served.credential = None if becomes == "revoked" else replace(served.credential, application_id="other")
    served.seconds = 29.9
    await call.write(message)
    assert (await call.read()).acknowledgements
    served.seconds = 30.0
    await call.write(message)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call.read()
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert served.service.called == ["app", "app"]
