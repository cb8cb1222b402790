"""The lines of calls that erase, export, or change what people may do: one for each call, whatever the log's level.

A line has numbers, and ids of applications and credentials. It never has an id of a user, or a secret.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import structlog

from server.rpc.call import Call

Write: TypeAlias = Callable[[Mapping[str, Any], Any, Any], None]
"""Writes the line of a call with these fields, of a request and its response."""

# Not the logger of the settings' level: these lines are no matter of how much an operator wants to read.
_log = structlog.wrap_logger(None, wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET))


def write_audited(write: Write, method: str, call: Call, request: Any, response: Any) -> None:
    """Write the line of a call that succeeded, unless it was a dry run."""
    if not getattr(request, "validate_only", False):
        write({**call.origin.fields(), "method": method}, request, response)


def _numbers(response: Any, done: str) -> dict[str, int]:
    """How many items a batch has, of how many something was done, and how many were refused."""
    results = response.results
    accepted = [each.response for each in results if each.HasField("response")]
    number = sum(getattr(each, done, True) for each in accepted)
    return {"items": len(results), done: number, "refused": len(results) - len(accepted)}


def _user_erased(fields: Mapping[str, Any], _: Any, response: Any) -> None:
    _log.info("users erased", **fields, items=1, deleted=int(response.deleted), refused=0)


def _users_erased(fields: Mapping[str, Any], _: Any, response: Any) -> None:
    _log.info("users erased", **fields, **_numbers(response, "deleted"))


def _user_exported(fields: Mapping[str, Any], *_: Any) -> None:
    _log.info("users exported", **fields, items=1, exported=1, refused=0)


def _users_exported(fields: Mapping[str, Any], _: Any, response: Any) -> None:
    _log.info("users exported", **fields, **_numbers(response, "exported"))


def _visitor_erased(fields: Mapping[str, Any], _: Any, response: Any) -> None:
    _log.info("visitors erased", **fields, items=1, deleted=int(response.deleted), refused=0)


def _visitor_exported(fields: Mapping[str, Any], *_: Any) -> None:
    _log.info("visitors exported", **fields, items=1, exported=1, refused=0)


def _company_erased(fields: Mapping[str, Any], _: Any, response: Any) -> None:
    _log.info("companies erased", **fields, items=1, deleted=int(response.deleted), refused=0)


def _company_exported(fields: Mapping[str, Any], *_: Any) -> None:
    _log.info("companies exported", **fields, items=1, exported=1, refused=0)


def _alias_removed(fields: Mapping[str, Any], _: Any, response: Any) -> None:
    _log.info("aliases removed", **fields, items=1, removed=int(response.removed), refused=0)


def _aliases_removed(fields: Mapping[str, Any], _: Any, response: Any) -> None:
    _log.info("aliases removed", **fields, **_numbers(response, "removed"))


def _users_merged(fields: Mapping[str, Any], _: Any, response: Any) -> None:
    _log.info("users merged", **fields, merged=int(response.merged))


def _suppression_lifted(fields: Mapping[str, Any], _: Any, response: Any) -> None:
    _log.info("suppression lifted", **fields, lifted=int(response.lifted))


def _credential_created(fields: Mapping[str, Any], _: Any, response: Any) -> None:
    _log.info("credential created", **fields, created=response.credential.credential_id)


def _credential_rotated(fields: Mapping[str, Any], _: Any, response: Any) -> None:
    created, replaced = response.credential.credential_id, response.replaced.credential_id
    _log.info("credential rotated", **fields, created=created, replaced=replaced)


def _credential_revoked(fields: Mapping[str, Any], request: Any, response: Any) -> None:
    # What is no id of a credential may be a secret, in place of one.
    if response.revoked:
        _log.info("credential revoked", **fields, revoked=request.credential_id)


def _application_renamed(fields: Mapping[str, Any], *_: Any) -> None:
    _log.info("application renamed", **fields)


def _deletion_begun(fields: Mapping[str, Any], *_: Any) -> None:
    _log.info("deletion begun", **fields)


def _application_created(fields: Mapping[str, Any], _: Any, response: Any) -> None:
    _log.info("application created", **fields, created=response.application.application_id)


AUDITED: Final[Mapping[str, Write]] = {
    "userfold.v1.UserService.DeleteUser": _user_erased,
    "userfold.v1.UserService.BatchDeleteUsers": _users_erased,
    "userfold.v1.UserService.ExportUser": _user_exported,
    "userfold.v1.UserService.BatchExportUsers": _users_exported,
    "userfold.v1.VisitorService.DeleteVisitor": _visitor_erased,
    "userfold.v1.VisitorService.ExportVisitor": _visitor_exported,
    "userfold.v1.CompanyService.DeleteCompany": _company_erased,
    "userfold.v1.CompanyService.ExportCompany": _company_exported,
    "userfold.v1.UserService.RemoveAlias": _alias_removed,
    "userfold.v1.UserService.BatchRemoveAliases": _aliases_removed,
    "userfold.v1.UserService.MergeUsers": _users_merged,
    "userfold.v1.UserService.LiftSuppression": _suppression_lifted,
    "userfold.v1.ApplicationService.RenameApplication": _application_renamed,
    "userfold.v1.ApplicationService.DeleteApplication": _deletion_begun,
    "userfold.v1.ApplicationService.CreateApplication": _application_created,
    "userfold.v1.CredentialService.CreateCredential": _credential_created,
    "userfold.v1.CredentialService.RotateCredential": _credential_rotated,
    "userfold.v1.CredentialService.RevokeCredential": _credential_revoked,
}
"""What writes the line of a method's calls, by the full name of the method."""
