"""Which calls are counted among the refusals of an application, and by what."""

from contextlib import suppress
from typing import Any

from userfold.v1 import user_service_pb2 as pb

from runtime.refusal_counts import RefusalKind
from server.errors import InvalidRequest, Overloaded, UserNotFound, Violation
from tests.server.served import KEY, Served, refused

REPORTED = ("x-userfold-reports-refusals", "1")


async def kinds(served: Served) -> dict[str, dict[tuple[str, str, Any], int]]:
    """The refusals of each application: reason, method and fields, and their number."""
    await served.refusals.finished()
    return {
        application_id: {(kind.reason, kind.method, kind.fields): each.count for kind, each in counts.items()}
        for application_id, counts in served.refused.items()
    }


async def test_a_refused_call_is_counted_for_its_application(served: Served) -> None:
    served.service.defect = InvalidRequest(
        [Violation("metadata.secret", "TOO_DEEP", ""), Violation("user_id", "X", "")]
    )
    for _ in range(3):
        await refused(served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=KEY))
    fields = (("metadata", "TOO_DEEP"), ("user_id", "X"))
    assert await kinds(served) == {"app": {("INVALID_REQUEST", "UpdateUser", fields): 3}}
    (kind,) = served.refused["app"]
    assert isinstance(kind, RefusalKind)
    assert kind.client_library.startswith("grpc-python")


async def test_a_call_that_is_refused_for_its_head_is_counted(served: Served) -> None:
    await served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=KEY)
    await refused(served.stub.GetUser(pb.GetUserRequest(), metadata=KEY))
    with suppress(Overloaded):
        while True:
            served.admission.calls.take("app")
    await refused(served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=KEY))
    assert await kinds(served) == {"app": {("SCOPE_MISSING", "GetUser", ()): 1, ("OVERLOADED", "UpdateUser", ()): 1}}


async def test_a_call_without_a_known_application_is_not_counted(served: Served) -> None:
    await refused(served.stub.UpdateUser(pb.UpdateUserRequest()))
    await refused(served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=(("x-moesif-application-id", "other"),)))
    assert await kinds(served) == {}


async def test_a_call_whose_gateway_reports_its_refusals_is_not_counted(served: Served) -> None:
    served.service.defect = UserNotFound()
    await refused(served.stub.UpdateUser(pb.UpdateUserRequest(), metadata=(*KEY, REPORTED)))
    assert await kinds(served) == {}
