"""The call that is being served, for the method to ask whose it is."""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from server.accounts.scopes import Need, require
from server.errors import ValidateOnlyNotSupported
from server.model import Application, Scope
from server.users.addresses import address_of_peer, client_address

CLIENT_ADDRESS: Final = "x-userfold-client-address"
"""The metadata in which a gateway passes on the address of its client."""

CONTRACT: Final = "x-userfold-contract"
"""The metadata in which a gateway states the version of the contract that it reads responses by. Gateways of version
0.1 send none."""

CONTRACT_VERSION: Final = 2

_TO_READ: Final = Need(Scope.READ_USERS)

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]


@dataclass(slots=True)
class Call:
    """A call whose credential may do what its method does: the application that it belongs to, and its metadata.

    Its request came as so many `octets`; 0 for a stream of requests. The items at the indices in `oversized` are larger
    than `limits.UPDATE_BYTES`: they were not parsed, and are empty in the request.
    """

    application: Application
    metadata: Metadata = field(repr=False)
    octets: int = 0
    oversized: frozenset[int] = frozenset()


# gRPC runs every call in a task of its own, and with it in a context of its own.
_CURRENT: ContextVar[Call] = ContextVar("call")


def begin(call: Call) -> None:
    """Make it the current call of this task."""
    _CURRENT.set(call)


def current_call() -> Call:
    """The call that this task serves. Raises LookupError in a task that serves none."""
    return _CURRENT.get()


def refuse_validate_only(request: Any) -> None:
    """Refuse a request whose `validate_only` is set, before anything of it is done.

    Raises ScopeMissing where the credential may not read users, as the response would show what is stored; else
    ValidateOnlyNotSupported.
    """
    if request.validate_only:
        require(_TO_READ, current_call().application)
        raise ValidateOnlyNotSupported


def address_of_client(metadata: Metadata, peer: Callable[[], str]) -> str | None:
    """The address of a call's client: as the gateway states it, else that of the peer. None for a local socket."""
    for name, value in metadata:
        if name == CLIENT_ADDRESS and isinstance(value, str):
            return client_address(value)
    return address_of_peer(peer())


def is_of_older_gateway(metadata: Metadata) -> bool:
    """Whether a call was made by a gateway of version 0.1."""
    names = [name for name, _ in metadata]
    return CLIENT_ADDRESS in names and CONTRACT not in names
