"""The call that a servicer serves, as an argument of its methods."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from server.accounts.scopes import Need, require
from server.errors import ValidateOnlyNotSupported
from server.model import Application, Scope
from server.users.addresses import address_of_peer, client_address

CLIENT_ADDRESS: Final = "x-userfold-client-address"
"""The metadata in which a gateway passes on the address of its client."""

CONTRACT: Final = "x-userfold-contract"
"""The metadata in which a gateway states its version of the contract. Gateways of version 0.1 send none."""

CONTRACT_VERSION: Final = 2

_READ_USERS: Final = Need(Scope.READ_USERS)

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]


@dataclass(slots=True)
class Call:
    """A call that was authenticated and admitted.

    `size_bytes` is the size of its request; 0 for a stream. The items of the request with the indices `oversized` are
    larger than `limits.UPDATE_BYTES`: they were not parsed, and are empty. `peer` returns gRPC's name of the peer; it
    is a function, because to ask gRPC costs.
    """

    application: Application
    metadata: Metadata = field(repr=False)
    peer: Callable[[], str] = field(repr=False)
    size_bytes: int = 0
    oversized: frozenset[int] = frozenset()

    @property
    def application_id(self) -> str:
        """The id of the application that calls."""
        return self.application.application_id

    def client_address(self) -> str | None:
        """The address of the client, as the gateway states it; else that of the peer. None for a local socket."""
        for name, value in self.metadata:
            if name == CLIENT_ADDRESS and isinstance(value, str):
                return client_address(value)
        return address_of_peer(self.peer())

    def refuse_validate_only(self, request: Any) -> None:
        """Refuse a request whose `validate_only` is set, before anything is done for it.

        Raises ScopeMissing where the credential may not read users, because the response would show what is stored;
        else ValidateOnlyNotSupported.
        """
        if request.validate_only:
            require(_READ_USERS, self.application)
            raise ValidateOnlyNotSupported


def is_from_gateway_0_1(metadata: Metadata) -> bool:
    """Whether a call was made by a gateway of version 0.1."""
    names = [name for name, _ in metadata]
    return CLIENT_ADDRESS in names and CONTRACT not in names
