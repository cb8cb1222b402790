"""`userfold companies`: profiles of companies, over gRPC."""

from collections.abc import Sequence
from typing import Final

import typer
from userfold.v1.company_pb2 import Company, CompanyExport
from userfold.v1.company_service_pb2 import (
    CountCompaniesRequest,
    DeleteCompanyRequest,
    ExportCompanyRequest,
    GetCompanyRequest,
    ListCompaniesRequest,
)

from cli.connection import Connection
from cli.profile_commands import PageRequest, ProfileCommands

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _companies() -> None:
    """Read, count and delete the profiles of companies. Needs USERFOLD_TOKEN."""


class _Calls:
    """The methods of CompanyService."""

    def get(self, connection: Connection, profile_id: str) -> Company:
        return connection.call(connection.companies.GetCompany, GetCompanyRequest(company_id=profile_id)).company

    def page(self, connection: Connection, request: PageRequest) -> tuple[Sequence[Company], str]:
        response = connection.call(connection.companies.ListCompanies, ListCompaniesRequest(**request))
        return response.companies, response.next_page_token

    def count(self, connection: Connection, filter: str) -> int:
        return connection.call(connection.companies.CountCompanies, CountCompaniesRequest(filter=filter)).count

    def export(self, connection: Connection, profile_id: str) -> CompanyExport:
        request = ExportCompanyRequest(company_id=profile_id)
        return connection.call(connection.companies.ExportCompany, request).company_export

    def delete(self, connection: Connection, profile_id: str) -> bool:
        request = DeleteCompanyRequest(company_id=profile_id)
        return connection.call(connection.companies.DeleteCompany, request).deleted


_CALLS: Final = _Calls()
_COMMANDS: Final = ProfileCommands(
    _CALLS,
    one="company",
    many="companies",
    key="company_id",
    filter='metadata.plan = "Free"',
    orders="created_time, modified_time or company_id",
    fields="company_domain,metadata.plan",
    columns="company_domain,created_time,stored_time",
)
_COMMANDS.add_get(app)
_COMMANDS.add_list(app)
_COMMANDS.add_count(app)
_COMMANDS.add_export(app)
_COMMANDS.add_delete(
    app, _CALLS.delete, "Erase a company: the profile, and all that is derived from it. Its users stay."
)
