"""`userfold refusals`: what was refused lately, over gRPC."""

import typer
from userfold.v1.refusal_service_pb2 import ListRefusalsRequest, Refusal

from cli.connection import connected
from cli.output import Json, print_json, print_table
from gateway.transcoding.json_encoder import plain

app = typer.Typer(no_args_is_help=True)

_HEADINGS = ("LAST (UTC)", "COUNT", "REASON", "METHOD", "FIELDS", "CLIENT LIBRARY", "FIRST (UTC)")


@app.callback()
def _refusals() -> None:
    """See which requests were refused lately, and which had warnings. Needs USERFOLD_TOKEN."""


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the kinds of refusals and warnings of the last 30 days, those that happened last first."""
    with connected() as connection:
        response = connection.call(connection.refusals.ListRefusals, ListRefusalsRequest())
    if as_json:
        print_json([plain(each) for each in response.refusals])
        return
    print_table(_HEADINGS, map(_row, response.refusals))


def _row(refusal: Refusal) -> tuple[object, ...]:
    return (
        f"{refusal.last_time.ToDatetime():%Y-%m-%d %H:%M:%S}",
        refusal.count,
        f"{refusal.reason} (warning)" if refusal.is_warning else refusal.reason,
        refusal.method or None,
        ", ".join(f"{each.field} {each.reason}" for each in refusal.fields) or None,
        refusal.client_library or None,
        f"{refusal.first_time.ToDatetime():%Y-%m-%d %H:%M:%S}",
    )
