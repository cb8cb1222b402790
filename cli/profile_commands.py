"""The commands that all kinds of profiles have: get, list, count, export and delete."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypedDict

import typer
from google.protobuf.message import Message

from cli.connection import Connection, connected
from cli.listings import Columns, columns_of, confirm_erasure, print_profiles
from cli.output import Json, print_fields, print_json
from gateway.transcoding.json_encoder import plain


class PageRequest(TypedDict):
    """The fields of a request of a page of a list."""

    filter: str
    order_by: str
    page_size: int
    page_token: str
    fields: list[str]


class Calls(Protocol):
    """The methods of a service that read profiles of its kind."""

    def get(self, connection: Connection, profile_id: str) -> Message:
        """The profile."""

    def page(self, connection: Connection, request: PageRequest) -> tuple[Sequence[Message], str]:
        """The profiles of a page of a list, and the token of the next one."""

    def count(self, connection: Connection, filter: str) -> int:
        """How many profiles a filter matches."""

    def export(self, connection: Connection, profile_id: str) -> Message:
        """Everything that is stored about a profile."""


@dataclass(frozen=True, slots=True)
class ProfileCommands:
    """The commands of one kind of profiles. They are added to an app one by one, in the order of its help.

    `one` and `many` are what profiles of this kind are called; `key` is the field of their ids. `filter`, `orders` and
    `fields` are examples for the help, `columns` what is printed unless the caller chooses fields.
    """

    calls: Calls
    one: str
    many: str
    key: str
    filter: str
    orders: str
    fields: str
    columns: str

    def add_get(self, app: typer.Typer) -> None:
        """Add `get`."""

        @app.command(help=f"Print the profile of a {self.one}, as JSON.")
        def get(profile_id: Annotated[str, self.id_argument()], as_json: Json = False) -> None:
            with connected() as connection:
                profile = self.calls.get(connection, profile_id)
            print_json(plain(profile))

    def add_list(self, app: typer.Typer) -> None:
        """Add `list`."""

        @app.command(
            "list", help=f"List the {self.many} that a filter matches. With --json: one JSON object on each line."
        )
        def list_(
            filter: Annotated[str, self._filter_option()] = "",
            order_by: Annotated[
                str, typer.Option(metavar="ORDER", help=f"{self.orders}; with ' desc': reversed.")
            ] = "created_time",
            fields: Annotated[
                Any,
                typer.Option(
                    metavar="FIELD,...",
                    parser=self.columns_of,
                    help=f"The fields to print, such as {self.fields}. With --json and without this: all.",
                ),
            ] = None,
            limit: Annotated[int, self.limit_option()] = 100,
            as_json: Json = False,
        ) -> None:
            columns: Columns = fields or self.columns_of(self.columns)
            wanted = [] if as_json and fields is None else list(columns)
            with connected() as connection:

                def page(size: int, token: str) -> tuple[Sequence[Message], str]:
                    request: PageRequest = {
                        "filter": filter,
                        "order_by": order_by,
                        "page_size": size,
                        "page_token": token,
                        "fields": wanted,
                    }
                    return self.calls.page(connection, request)

                print_profiles(page, limit, columns, as_json, self.many)

    def add_count(self, app: typer.Typer) -> None:
        """Add `count`."""

        @app.command(help=f"Count the {self.many} that a filter matches.")
        def count(filter: Annotated[str, self._filter_option()] = "", as_json: Json = False) -> None:
            with connected() as connection:
                number = self.calls.count(connection, filter)
            if as_json:
                print_json({"count": number})
            else:
                print(number)

    def add_export(self, app: typer.Typer) -> None:
        """Add `export`."""

        @app.command(help=f"Print everything that is stored about a {self.one}, as JSON.")
        def export(profile_id: Annotated[str, self.id_argument()]) -> None:
            with connected() as connection:
                exported = self.calls.export(connection, profile_id)
            print_json(plain(exported))

    def add_delete(self, app: typer.Typer, call: Callable[[Connection, str], bool], help: str) -> None:
        """Add `delete`, which erases one profile. `call` returns whether it was there."""

        @app.command(help=help)
        def delete(
            profile_id: Annotated[str, self.id_argument()],
            yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
            as_json: Json = False,
        ) -> None:
            confirm_erasure(f"the {self.one}", yes)
            with connected() as connection:
                deleted = call(connection, profile_id)
            if as_json:
                print_json({"deleted": deleted})
            else:
                print_fields({"erased" if deleted else "not found": profile_id})

    def columns_of(self, text: str) -> Columns:
        """The columns of a list of fields, behind that of the id."""
        return columns_of(text, self.key)

    def id_argument(self) -> Any:
        """The argument of an id."""
        return typer.Argument(metavar=self.key.upper(), help=f"The id of the {self.one}, as updates carry it.")

    def limit_option(self) -> Any:
        """The option `--limit`."""
        help = f"The largest number of {self.many} to print; 0: all."
        return typer.Option(min=0, metavar=self.many.upper(), help=help)

    def _filter_option(self) -> Any:
        help = f"Only {self.many} that match, such as '{self.filter}'."
        return typer.Option(metavar="FILTER", help=help, show_default=False)
