"""`userfold users`: profiles of users, over gRPC."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer
from userfold.v1.user_pb2 import User, UserExport
from userfold.v1.user_service_pb2 import (
    BatchDeleteUsersRequest,
    CountUsersRequest,
    DeleteUserResult,
    ExportUserRequest,
    GetUserRequest,
    ListUsersRequest,
    LookupUsersRequest,
    MergeUsersRequest,
    RemoveAliasRequest,
    SuggestUsersRequest,
)

from cli.connection import Connection, connected
from cli.failures import CommandFailed
from cli.listings import PAGE, cell_of, confirm, confirm_erasure, print_profiles
from cli.output import Json, note, print_fields, print_json, print_json_line, print_table
from cli.profile_commands import PageRequest, ProfileCommands
from cli.refusals import line_of
from gateway.transcoding.json_encoder import plain

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _users() -> None:
    """Read, count, merge and delete the profiles of users. Needs USERFOLD_TOKEN."""


class _Calls:
    """The methods of UserService that other services have as well."""

    def get(self, connection: Connection, profile_id: str) -> User:
        return connection.call(connection.users.GetUser, GetUserRequest(user_id=profile_id)).user

    def page(self, connection: Connection, request: PageRequest) -> tuple[Sequence[User], str]:
        response = connection.call(connection.users.ListUsers, ListUsersRequest(**request))
        return response.users, response.next_page_token

    def count(self, connection: Connection, filter: str) -> int:
        return connection.call(connection.users.CountUsers, CountUsersRequest(filter=filter)).count

    def export(self, connection: Connection, profile_id: str) -> UserExport:
        return connection.call(connection.users.ExportUser, ExportUserRequest(user_id=profile_id)).user_export


_COMMANDS: Final = ProfileCommands(
    _Calls(),
    one="user",
    many="users",
    key="user_id",
    filter='metadata.plan = "pro"',
    orders="created_time, modified_time or user_id",
    fields="company_id,metadata.plan",
    columns="company_id,metadata.email,created_time,modified_time",
)
_COMMANDS.add_get(app)
_COMMANDS.add_list(app)


@app.command()
def lookup(
    session_token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", help="A session or API token; - reads it from standard input."),
    ] = None,
    email: Annotated[str | None, typer.Option(metavar="ADDRESS", help="An email address, in any case.")] = None,
    company_id: Annotated[str | None, typer.Option(metavar="COMPANY_ID", help="The id of a company.")] = None,
    anonymous_id: Annotated[
        str | None, typer.Option(metavar="ANONYMOUS_ID", help="An anonymous id that users' profiles name.")
    ] = None,
    limit: Annotated[int, _COMMANDS.limit_option()] = 100,
    as_json: Json = False,
) -> None:
    """List the users of a session token, an email address, a company or an anonymous id, the latest first."""
    known: dict[str, Any] = {"email": email, "company_id": company_id, "anonymous_id": anonymous_id}
    if sum(value is not None for value in (session_token, *known.values())) != 1:
        options = "--session-token, --email, --company-id and --anonymous-id"
        raise typer.BadParameter(f"exactly one of {options} is needed")
    known["session_token"] = _secret(session_token)
    with connected() as connection:

        def page(size: int, page_token: str) -> tuple[Sequence[User], str]:
            request = LookupUsersRequest(**known, page_size=size, page_token=page_token)
            response = connection.call(connection.users.LookupUsers, request)
            return response.users, response.next_page_token

        print_profiles(page, limit, _COMMANDS.columns_of(_COMMANDS.columns), as_json, "users")


@app.command()
def search(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="The beginning of a user id, or of an email address in any case.")
    ],
    limit: Annotated[int, typer.Option(min=1, max=50, metavar="USERS", help="The largest number of users.")] = 10,
    as_json: Json = False,
) -> None:
    """List the first users whose id or email address begins with a text. With --json: one JSON object on each line."""
    with connected() as connection:
        request = SuggestUsersRequest(text=text, page_size=limit)
        suggestions = connection.call(connection.users.SuggestUsers, request).suggestions
    if as_json:
        for suggestion in suggestions:
            print_json_line(plain(suggestion))
        return
    columns = _COMMANDS.columns_of("company_id,metadata.email,metadata.name")
    rows = [
        [*(cell_of(plain(each.user), path) for path in columns.values()), each.matched_field] for each in suggestions
    ]
    print_table([*(column.upper() for column in columns), "MATCHED_FIELD"], rows)


_COMMANDS.add_count(app)
_COMMANDS.add_export(app)


@app.command()
def merge(
    user_id: Annotated[str, typer.Argument(metavar="USER_ID", help="The id of the user who stays.")],
    source_user_id: Annotated[
        str, typer.Argument(metavar="SOURCE_USER_ID", help="The id of the user who becomes a part of that one.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Merge a user into another one, for two ids of one person.

    The user who stays keeps its values, and gets those that it lacks. The other id leads to it from then on. This
    cannot be undone.
    """
    if not yes:
        note(
            f"{user_id} keeps its values, and gets those of {source_user_id} that it lacks, its session tokens and"
            f" anonymous ids, and the earlier of the two first campaigns. {source_user_id} is no user of its own any"
            f" more: the id leads to {user_id} from then on, in updates too."
        )
    confirm("a merge of users", "Merge the two for good?", yes)
    with connected() as connection:
        request = MergeUsersRequest(user_id=user_id, source_user_id=source_user_id)
        response = connection.call(connection.users.MergeUsers, request)
    if as_json:
        print_json({"merged": response.merged})
    elif response.merged:
        print_fields({"merged": source_user_id, "into": user_id})
    else:
        print("both ids lead to one user already")


@app.command()
def delete(
    user_ids: Annotated[list[str], typer.Argument(metavar="USER_ID...", help="The ids of the users.")],
    suppress_days: Annotated[
        int,
        typer.Option(min=0, max=3650, metavar="DAYS", help="For how long later updates of them are dropped."),
    ] = 0,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase users: their profiles, aliases, and all that is derived from them."""
    confirm_erasure(f"{len(user_ids)} users", yes)
    results: list[DeleteUserResult] = []
    with connected() as connection:
        for start in range(0, len(user_ids), PAGE):
            request = BatchDeleteUsersRequest(user_ids=user_ids[start : start + PAGE], suppress_days=suppress_days)
            results += connection.call(connection.users.BatchDeleteUsers, request).results
    if as_json:
        print_json([{"user_id": user_id} | plain(result) for user_id, result in zip(user_ids, results, strict=True)])
    for user_id, result in zip(user_ids, results, strict=True):
        if result.HasField("error"):
            note(f"{user_id}: {line_of(result.error)}")
        elif not as_json:
            print_fields({"erased" if result.response.deleted else "not found": user_id})
    failed = sum(result.HasField("error") for result in results)
    if failed:
        raise CommandFailed(f"{failed} of {len(results)} users are not erased")


@app.command()
def remove_alias(
    user_id: Annotated[str, _COMMANDS.id_argument()],
    session_token: Annotated[str, typer.Argument(metavar="TOKEN", help="The token; - reads it from standard input.")],
    as_json: Json = False,
) -> None:
    """Remove a session token from a user, for example after it has leaked."""
    request = RemoveAliasRequest(user_id=user_id, session_token=_secret(session_token) or "")
    with connected() as connection:
        response = connection.call(connection.users.RemoveAlias, request)
    if as_json:
        print_json({"removed": response.removed})
    else:
        print("removed" if response.removed else "the user does not have this token")


def _secret(text: str | None) -> str | None:
    """A secret of the command line, where `-` means the first line of standard input."""
    return sys.stdin.readline().rstrip("\r\n") if text == "-" else text
