"""Applications and credentials as messages. None holds a secret or a digest."""

from userfold.v1 import application_pb2, credential_pb2

from server.accounts.applications import StoredApplication
from server.accounts.credentials import KIND_NAMES, StoredCredential


def fill_application(message: application_pb2.Application, application: StoredApplication) -> None:
    """Set the fields of an application."""
    message.application_id = application.application_id
    message.display_name = application.name
    if application.created_time is not None:
        message.created_time.FromDatetime(application.created_time)


def fill_credential(message: credential_pb2.Credential, credential: StoredCredential) -> None:
    """Set the fields of a credential."""
    message.credential_id = credential.credential_id
    message.display_name = credential.name
    message.kind = KIND_NAMES[credential.kind]
    message.scopes.extend(sorted(credential.scopes))
    message.created_time.FromDatetime(credential.created_time)
    if credential.expire_time is not None:
        message.expire_time.FromDatetime(credential.expire_time)
    if credential.last_used_time is not None:
        message.last_used_time.FromDatetime(credential.last_used_time)
    message.replaced_by = credential.replaced_by or ""
