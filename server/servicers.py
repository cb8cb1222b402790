"""The services of the server, and what serves each."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from google.protobuf.descriptor import ServiceDescriptor
from userfold.internal.v1 import company_update_service_pb2, refusal_report_service_pb2, user_update_service_pb2
from userfold.internal.v1 import credential_service_pb2 as internal_credential_service_pb2
from userfold.v1 import (
    application_service_pb2,
    campaign_service_pb2,
    company_service_pb2,
    credential_service_pb2,
    metadata_service_pb2,
    refusal_service_pb2,
    status_service_pb2,
    user_service_pb2,
    visitor_service_pb2,
)

from server import model
from server.commit.write_batcher import WriteBatcher
from server.mongo.accounts.applications import MongoApplicationStore
from server.mongo.accounts.credentials import MongoCredentialStore
from server.mongo.client import Database
from server.mongo.identity.merges import MongoProfileMerges
from server.mongo.queries.company_domains import MongoCompanyDomains
from server.mongo.queries.profile_queries import MongoProfileQueries
from server.mongo.queries.samples import MongoMetadataSamples
from server.mongo.queries.visitors import MongoVisitorQueries
from server.mongo.refusals import MongoRefusals
from server.mongo.removal.deletion import ApplicationDeletion
from server.mongo.removal.erasure import MongoProfileErasure
from server.mongo.removal.suppressions import MongoSuppressions
from server.mongo.removal.visitor_erasure import MongoVisitorErasure
from server.mongo.status import MongoStatus
from server.mongo.writes.previews import MongoProfilePreviews
from server.query.page_token import PageTokens
from server.rpc.health import Health
from server.rpc.served_method import Shared
from server.services.accounts.application_service import ApplicationService
from server.services.accounts.credential_check import CredentialCheckService
from server.services.accounts.credential_service import CredentialService
from server.services.campaign_service import CampaignService
from server.services.company_finder import CompanyFinder
from server.services.company_service import CompanyService
from server.services.dry_runs.updates import UpdateDryRuns, gate_of_dry_runs
from server.services.overview.metadata_service import MetadataService
from server.services.overview.status_service import Process, StatusService
from server.services.refusal_service import RefusalReportService, RefusalService
from server.services.updates.update_messages import OF_COMPANIES, OF_USERS, UpdateMessages
from server.services.updates.update_methods import UpdateMethods
from server.services.updates.update_service import CompanyUpdateService, UserUpdateService
from server.services.user_service import UserService
from server.services.visitor_service import VisitorService

USERS: Final = user_service_pb2.DESCRIPTOR.services_by_name["UserService"]
_VISITORS: Final = visitor_service_pb2.DESCRIPTOR.services_by_name["VisitorService"]
_COMPANIES: Final = company_service_pb2.DESCRIPTOR.services_by_name["CompanyService"]
_CAMPAIGNS: Final = campaign_service_pb2.DESCRIPTOR.services_by_name["CampaignService"]
_REFUSALS: Final = refusal_service_pb2.DESCRIPTOR.services_by_name["RefusalService"]
_METADATA: Final = metadata_service_pb2.DESCRIPTOR.services_by_name["MetadataService"]
_STATUS: Final = status_service_pb2.DESCRIPTOR.services_by_name["StatusService"]
_APPLICATIONS: Final = application_service_pb2.DESCRIPTOR.services_by_name["ApplicationService"]
_CREDENTIALS: Final = credential_service_pb2.DESCRIPTOR.services_by_name["CredentialService"]

PUBLIC: Final = (USERS, _COMPANIES, _VISITORS, _CAMPAIGNS, _REFUSALS, _METADATA, _STATUS, _APPLICATIONS, _CREDENTIALS)
"""The services that reflection lists: all but the internal ones."""

_UPDATES: Final = user_update_service_pb2.DESCRIPTOR.services_by_name["UserUpdateService"]
_COMPANY_UPDATES: Final = company_update_service_pb2.DESCRIPTOR.services_by_name["CompanyUpdateService"]
_CREDENTIAL_CHECKS: Final = internal_credential_service_pb2.DESCRIPTOR.services_by_name["CredentialService"]
_REFUSAL_REPORTS: Final = refusal_report_service_pb2.DESCRIPTOR.services_by_name["RefusalReportService"]


def servicers(
    database: Database,
    *,
    credentials: MongoCredentialStore,
    profiles: WriteBatcher,
    queries: MongoProfileQueries,
    shared: Shared,
    health: Health,
    process: Process,
    secret: bytes,
    stopping: asyncio.Event,
) -> Mapping[ServiceDescriptor, object]:
    """What serves each service. `secret` is one that all servers share. Streams end when `stopping` is set."""
    turns, refusals = shared.turns, shared.refusals
    tokens, gate = PageTokens(secret), gate_of_dry_runs()
    companies = MongoProfileQueries(database, kind=model.COMPANIES)

    def updates(of: UpdateMessages, kind: model.ProfileKind) -> UpdateMethods:
        dry_runs = UpdateDryRuns(of, MongoProfilePreviews(database, kind), time.time_ns, turns, gate)
        return UpdateMethods(of, profiles, dry_runs, time.time_ns, stopping, turns)

    of_users, of_companies = updates(OF_USERS, model.USERS), updates(OF_COMPANIES, model.COMPANIES)
    applications = MongoApplicationStore(database)
    return {
        USERS: UserService(
            of_users,
            queries,
            CompanyFinder(companies, MongoCompanyDomains(database)),
            MongoProfileErasure(database),
            MongoProfileMerges(database),
            MongoSuppressions(database),
            tokens,
            time.time_ns,
            turns,
        ),
        _COMPANIES: CompanyService(
            of_companies,
            companies,
            MongoProfileErasure(database, model.COMPANIES),
            tokens,
            time.time_ns,
            turns,
        ),
        _VISITORS: VisitorService(
            MongoVisitorQueries(database),
            MongoProfileQueries(database, kind=model.VISITORS),
            MongoVisitorErasure(database),
            tokens,
            time.time_ns,
            turns,
        ),
        _CAMPAIGNS: CampaignService(queries, turns),
        _REFUSALS: RefusalService(MongoRefusals(database)),
        _METADATA: MetadataService(MongoMetadataSamples(database, time.monotonic), secret, turns, time.monotonic),
        _STATUS: StatusService(process, profiles, shared, health, MongoStatus(database, time.monotonic), time.time_ns),
        _APPLICATIONS: ApplicationService(applications, ApplicationDeletion(database), time.time),
        _CREDENTIALS: CredentialService(applications, credentials, time.time),
        _UPDATES: UserUpdateService(of_users),
        _COMPANY_UPDATES: CompanyUpdateService(of_companies),
        _CREDENTIAL_CHECKS: CredentialCheckService(),
        _REFUSAL_REPORTS: RefusalReportService(refusals, time.time),
    }
