"""What each method requires of a credential, by the name of the method."""

from collections.abc import Mapping
from typing import Final

from gateway.app import SERVICES
from server.accounts.scopes import Need
from server.rpc.methods import METHODS

NEEDS: Final[Mapping[str, Need]] = {
    full_name.rpartition(".")[2]: rule.need for full_name, rule in METHODS.items() if rule.need
}
"""Without the methods that any credential may call. Both methods named BatchUpdateUsers require the same."""

ABOUT_ITSELF: Final = frozenset(
    method.name
    for service in SERVICES
    if service.name in ("ApplicationService", "CredentialService")
    for method in service.methods
)
"""The methods that show or change the application of the caller, and its credentials, rather than users."""

ABOUT_THE_SERVER: Final = frozenset({"GetStatus"})
"""The methods that show the server, to every application alike."""
