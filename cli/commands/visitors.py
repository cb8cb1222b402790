"""`userfold visitors`: profiles of visitors without a user id, over gRPC."""

from collections.abc import Sequence
from typing import Final

import typer
from userfold.v1.user_pb2 import User, VisitorExport
from userfold.v1.visitor_service_pb2 import (
    CountVisitorsRequest,
    DeleteVisitorRequest,
    ExportVisitorRequest,
    GetVisitorRequest,
    ListVisitorsRequest,
)

from cli.connection import Connection
from cli.profile_commands import PageRequest, ProfileCommands

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _visitors() -> None:
    """Read, count and delete the profiles of visitors whose user id is not known. Needs USERFOLD_TOKEN."""


class _Calls:
    """The methods of VisitorService."""

    def get(self, connection: Connection, profile_id: str) -> User:
        return connection.call(connection.visitors.GetVisitor, GetVisitorRequest(anonymous_id=profile_id)).visitor

    def page(self, connection: Connection, request: PageRequest) -> tuple[Sequence[User], str]:
        response = connection.call(connection.visitors.ListVisitors, ListVisitorsRequest(**request))
        return response.visitors, response.next_page_token

    def count(self, connection: Connection, filter: str) -> int:
        return connection.call(connection.visitors.CountVisitors, CountVisitorsRequest(filter=filter)).count

    def export(self, connection: Connection, profile_id: str) -> VisitorExport:
        request = ExportVisitorRequest(anonymous_id=profile_id)
        return connection.call(connection.visitors.ExportVisitor, request).visitor_export

    def delete(self, connection: Connection, profile_id: str) -> bool:
        request = DeleteVisitorRequest(anonymous_id=profile_id)
        return connection.call(connection.visitors.DeleteVisitor, request).deleted


_CALLS: Final = _Calls()
_COMMANDS: Final = ProfileCommands(
    _CALLS,
    one="visitor",
    many="visitors",
    key="anonymous_id",
    filter='campaign.utm_source = "x"',
    orders="created_time or modified_time",
    fields="created_time,metadata.plan",
    columns="created_time,stored_time",
)
_COMMANDS.add_get(app)
_COMMANDS.add_list(app)
_COMMANDS.add_count(app)
_COMMANDS.add_export(app)
_COMMANDS.add_delete(app, _CALLS.delete, "Erase a visitor: the profile, its aliases, and all that is derived from it.")
