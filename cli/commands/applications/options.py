"""Arguments of the commands of applications, and what they accept."""

from typing import Annotated, Any, TypeAlias

import typer

from cli.arguments import collector_key, number, printable_name
from server.errors import PathNotDeclarable
from server.model import Scope
from server.query.conditions import StoredPath
from server.query.declared_paths import declared_path


def scopes(text: str) -> frozenset[Scope]:
    try:
        return frozenset(Scope(each.strip()) for each in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"must be some of {', '.join(Scope)}, separated by commas") from None


def path(text: str) -> StoredPath:
    try:
        return declared_path(text)
    except PathNotDeclarable as error:
        raise typer.BadParameter(str(error)) from None


def days(text: str) -> float:
    return number(text, 36_500, 0.001)


def hours(text: str) -> float:
    return number(text, 8_760, 0)


Name: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME", parser=printable_name, help="The name of the application, for people.")
]
Key: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--collector-key",
        metavar="KEY",
        parser=collector_key,
        help="A key that deployed clients already send, instead of a new one.",
    ),
]
DeclaredPath: TypeAlias = Annotated[
    Any,
    typer.Argument(metavar="PATH", parser=path, help="A field of filters, such as metadata.sales_info.stage."),
]
TokenName: TypeAlias = Annotated[
    str, typer.Option("--name", metavar="NAME", parser=printable_name, help="Who or what uses the token.")
]
Scopes: TypeAlias = Annotated[
    Any,
    typer.Option(
        metavar="SCOPES",
        parser=scopes,
        help=f"Scopes, separated by commas: {', '.join(Scope)} ({Scope.ADMIN}: all of them).",
    ),
]
Lifetime: TypeAlias = Annotated[
    float | None,
    typer.Option(metavar="DAYS", parser=days, help="Its lifetime; without it, the token does not expire."),
]
Overlap: TypeAlias = Annotated[
    float, typer.Option(metavar="HOURS", parser=hours, help="For how long both work.", show_default="24")
]
