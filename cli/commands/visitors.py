"""`userfold visitors`: profiles of visitors without a user id, over gRPC."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias

import typer
from userfold.v1.user_pb2 import User
from userfold.v1.visitor_service_pb2 import (
    CountVisitorsRequest,
    DeleteVisitorRequest,
    ExportVisitorRequest,
    GetVisitorRequest,
    ListVisitorsRequest,
)

from cli.connection import connected
from cli.listings import Columns, columns_of, confirm_erasure, print_profiles
from cli.output import Json, print_fields, print_json
from gateway.transcoding.json_encoder import plain

app = typer.Typer(no_args_is_help=True)


def _columns_of(text: str) -> Columns:
    return columns_of(text, "anonymous_id")


_COLUMNS: Final = _columns_of("created_time,stored_time")

AnonymousId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ANONYMOUS_ID", help="The id of the visitor, as updates carry it.")
]
Filter: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="FILTER", help="Only visitors that match, such as 'campaign.utm_source = \"x\"'.", show_default=False
    ),
]


@app.callback()
def _visitors() -> None:
    """Read, count and delete the profiles of visitors whose user id is not known. Needs USERFOLD_TOKEN."""


@app.command()
def get(anonymous_id: AnonymousId, as_json: Json = False) -> None:
    """Print the profile of a visitor, as JSON."""
    with connected() as connection:
        response = connection.call(connection.visitors.GetVisitor, GetVisitorRequest(anonymous_id=anonymous_id))
    print_json(plain(response.visitor))


@app.command("list")
def list_(
    filter: Filter = "",
    order_by: Annotated[
        str, typer.Option(metavar="ORDER", help="created_time or modified_time; with ' desc': reversed.")
    ] = "created_time",
    fields: Annotated[
        Any,
        typer.Option(
            metavar="FIELD,...",
            parser=_columns_of,
            help="The fields to print, such as created_time,metadata.plan. With --json and without this: all.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, metavar="VISITORS", help="The largest number of visitors to print; 0: all.")
    ] = 100,
    as_json: Json = False,
) -> None:
    """List the visitors that a filter matches. With --json: one JSON object on each line."""
    columns: Columns = fields or _COLUMNS
    wanted = [] if as_json and fields is None else list(columns)
    with connected() as connection:

        def page(size: int, token: str) -> tuple[Sequence[User], str]:
            request = ListVisitorsRequest(
                filter=filter, order_by=order_by, page_size=size, page_token=token, fields=wanted
            )
            response = connection.call(connection.visitors.ListVisitors, request)
            return response.visitors, response.next_page_token

        print_profiles(page, limit, columns, as_json, "visitors")


@app.command()
def count(filter: Filter = "", as_json: Json = False) -> None:
    """Count the visitors that a filter matches."""
    with connected() as connection:
        response = connection.call(connection.visitors.CountVisitors, CountVisitorsRequest(filter=filter))
    if as_json:
        print_json({"count": response.count})
    else:
        print(response.count)


@app.command()
def export(anonymous_id: AnonymousId) -> None:
    """Print everything that is stored about a visitor, as JSON."""
    with connected() as connection:
        response = connection.call(connection.visitors.ExportVisitor, ExportVisitorRequest(anonymous_id=anonymous_id))
    print_json(plain(response.visitor_export))


@app.command()
def delete(
    anonymous_id: AnonymousId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a visitor: the profile, its aliases, and all that is derived from it."""
    confirm_erasure("the visitor", yes)
    with connected() as connection:
        request = DeleteVisitorRequest(anonymous_id=anonymous_id)
        response = connection.call(connection.visitors.DeleteVisitor, request)
    if as_json:
        print_json({"deleted": response.deleted})
    else:
        print_fields({"erased" if response.deleted else "not found": anonymous_id})
