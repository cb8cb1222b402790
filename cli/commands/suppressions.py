"""`userfold suppressions`: erased users whose updates are dropped, over gRPC."""

from collections.abc import Iterator
from typing import Annotated

import typer
from userfold.v1.user_service_pb2 import LiftSuppressionRequest, ListSuppressionsRequest, Suppression

from cli.connection import Connection, connected
from cli.output import Json, print_json_line, print_result, print_table
from gateway.transcoding.json_encoder import plain

app = typer.Typer(no_args_is_help=True)

_HEADINGS = ("USER ID DIGEST", "START (UTC)", "END (UTC)")
_PAGE = 1000


@app.callback()
def _suppressions() -> None:
    """See which erased users are suppressed, and end a suppression. Needs USERFOLD_TOKEN."""


@app.command("list")
def list_(
    user_id: Annotated[str, typer.Option(metavar="USER_ID", help="Only the suppression of this user.")] = "",
    as_json: Json = False,
) -> None:
    """List suppressions. The ids of the users are not stored, so there are digests of them. As JSON: one on a line."""
    with connected() as connection:
        found = _all(connection, user_id)
        if as_json:
            for each in found:
                print_json_line(plain(each))
        else:
            print_table(_HEADINGS, map(_row, found))


@app.command()
def lift(
    user_id: Annotated[str, typer.Argument(metavar="USER_ID", help="The id of the user, as updates carry it.")],
    as_json: Json = False,
) -> None:
    """End the suppression of a user: the next update creates the user anew."""
    with connected() as connection:
        request = LiftSuppressionRequest(user_id=user_id)
        response = connection.call(connection.users.LiftSuppression, request)
    print_result({"lifted": response.lifted}, as_json)


def _all(connection: Connection, user_id: str) -> Iterator[Suppression]:
    request = ListSuppressionsRequest(user_id=user_id, page_size=_PAGE)
    while True:
        response = connection.call(connection.users.ListSuppressions, request)
        yield from response.suppressions
        if not response.next_page_token:
            return
        request.page_token = response.next_page_token


def _row(suppression: Suppression) -> tuple[object, ...]:
    started = suppression.HasField("start_time")
    return (
        suppression.user_id_digest,
        f"{suppression.start_time.ToDatetime():%Y-%m-%d %H:%M}" if started else None,
        f"{suppression.end_time.ToDatetime():%Y-%m-%d %H:%M}",
    )
