"""`userfold companies`: profiles of companies, over gRPC."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeAlias

import typer
from userfold.v1.company_pb2 import Company
from userfold.v1.company_service_pb2 import (
    CountCompaniesRequest,
    DeleteCompanyRequest,
    ExportCompanyRequest,
    GetCompanyRequest,
    ListCompaniesRequest,
)

from cli.connection import connected
from cli.listings import Columns, columns_of, confirm_erasure, print_profiles
from cli.output import Json, print_fields, print_json
from gateway.transcoding.json_encoder import plain

app = typer.Typer(no_args_is_help=True)


def _columns_of(text: str) -> Columns:
    return columns_of(text, "company_id")


_COLUMNS: Final = _columns_of("company_domain,created_time,stored_time")

CompanyId: TypeAlias = Annotated[
    str, typer.Argument(metavar="COMPANY_ID", help="The id of the company, as updates carry it.")
]
Filter: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="FILTER", help="Only companies that match, such as 'metadata.plan = \"Free\"'.", show_default=False
    ),
]


@app.callback()
def _companies() -> None:
    """Read, count and delete the profiles of companies. Needs USERFOLD_TOKEN."""


@app.command()
def get(company_id: CompanyId, as_json: Json = False) -> None:
    """Print the profile of a company, as JSON."""
    with connected() as connection:
        response = connection.call(connection.companies.GetCompany, GetCompanyRequest(company_id=company_id))
    print_json(plain(response.company))


@app.command("list")
def list_(
    filter: Filter = "",
    order_by: Annotated[
        str, typer.Option(metavar="ORDER", help="created_time, modified_time or company_id; with ' desc': reversed.")
    ] = "created_time",
    fields: Annotated[
        Any,
        typer.Option(
            metavar="FIELD,...",
            parser=_columns_of,
            help="The fields to print, such as company_domain,metadata.plan. With --json and without this: all.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, metavar="COMPANIES", help="The largest number of companies to print; 0: all.")
    ] = 100,
    as_json: Json = False,
) -> None:
    """List the companies that a filter matches. With --json: one JSON object on each line."""
    columns: Columns = fields or _COLUMNS
    wanted = [] if as_json and fields is None else list(columns)
    with connected() as connection:

        def page(size: int, token: str) -> tuple[Sequence[Company], str]:
            request = ListCompaniesRequest(
                filter=filter, order_by=order_by, page_size=size, page_token=token, fields=wanted
            )
            response = connection.call(connection.companies.ListCompanies, request)
            return response.companies, response.next_page_token

        print_profiles(page, limit, columns, as_json, "companies")


@app.command()
def count(filter: Filter = "", as_json: Json = False) -> None:
    """Count the companies that a filter matches."""
    with connected() as connection:
        response = connection.call(connection.companies.CountCompanies, CountCompaniesRequest(filter=filter))
    if as_json:
        print_json({"count": response.count})
    else:
        print(response.count)


@app.command()
def export(company_id: CompanyId) -> None:
    """Print everything that is stored about a company, as JSON."""
    with connected() as connection:
        response = connection.call(connection.companies.ExportCompany, ExportCompanyRequest(company_id=company_id))
    print_json(plain(response.company_export))


@app.command()
def delete(
    company_id: CompanyId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a company: the profile, and all that is derived from it. Its users stay."""
    confirm_erasure("the company", yes)
    with connected() as connection:
        request = DeleteCompanyRequest(company_id=company_id)
        response = connection.call(connection.companies.DeleteCompany, request)
    if as_json:
        print_json({"deleted": response.deleted})
    else:
        print_fields({"erased" if response.deleted else "not found": company_id})
