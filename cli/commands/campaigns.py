"""`userfold campaigns`: what campaigns brought, over gRPC."""

from typing import Annotated, Any

import typer
from userfold.v1.campaign_service_pb2 import CampaignGroup, ReportCampaignsRequest

from cli.connection import connected
from cli.output import Json, note, print_json, print_table
from gateway.transcoding import timestamps
from gateway.transcoding.json_encoder import number, plain

app = typer.Typer(no_args_is_help=True)


def _time(text: str) -> Any:
    time = timestamps.parse(text)
    if time is None:
        raise typer.BadParameter("must be a day or a time, such as 2026-01-31 or 2026-01-31T12:00:00Z")
    return time


@app.callback()
def _campaigns() -> None:
    """Report what campaigns brought. Needs USERFOLD_TOKEN."""


@app.command()
def report(
    group_by: Annotated[
        str,
        typer.Option(metavar="FIELD,...", help="Fields of initial_campaign, latest_campaign or campaign, at most 4."),
    ] = "initial_campaign.utm_source",
    value_path: Annotated[
        str, typer.Option(metavar="PATH", help="A number in metadata to sum, such as metadata.lifetime_value.")
    ] = "",
    filter: Annotated[str, typer.Option(metavar="FILTER", help="Only users that match.")] = "",
    start_time: Annotated[
        Any, typer.Option(metavar="TIME", parser=_time, help="Only users created from then on.")
    ] = None,
    end_time: Annotated[Any, typer.Option(metavar="TIME", parser=_time, help="Only users created before.")] = None,
    max_groups: Annotated[
        int, typer.Option(min=1, max=1000, metavar="GROUPS", help="The largest number of rows.")
    ] = 100,
    as_json: Json = False,
) -> None:
    """Print how many users each campaign brought, and the sum of their values. With --json also by days."""
    fields = [field.strip() for field in group_by.split(",") if field.strip()]
    request = ReportCampaignsRequest(
        start_time=start_time,
        end_time=end_time,
        group_by=fields,
        value_path=value_path,
        filter=filter,
        max_groups=max_groups,
    )
    with connected() as connection:
        response = connection.call(connection.campaigns.ReportCampaigns, request)
    if as_json:
        print_json(plain(response))
        return
    rows = [[group.campaign.get(field) for field in fields] + _numbers(group) for group in response.groups]
    total = ["total", *[""] * (len(fields) - 1), *_numbers(response.total)]
    print_table([*(field.upper() for field in fields), "USERS", "SUM", "AVERAGE"], [*rows, total])
    if response.has_more:
        note("There are more groups: --max-groups prints further ones.")


def _numbers(group: CampaignGroup) -> list[object]:
    has_values = group.HasField("value_sum")
    return [
        group.user_count,
        number(group.value_sum) if has_values else None,
        number(group.value_average) if has_values else None,
    ]
