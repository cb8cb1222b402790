"""The call that a servicer serves, as an argument of its methods."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from runtime.client_library import client_library
from runtime.refusal_counts import RefusalCounts, RefusalKind
from runtime.reporting.origin import Addresses, Origin, origin_from_metadata, unpacked
from server.accounts.scopes import Need, require
from server.model import Application, Scope
from server.users.addresses import address_of_peer, client_address

CLIENT_ADDRESS: Final = "x-userfold-client-address"
"""The metadata in which a gateway passes on the address of its client."""

CONTRACT: Final = "x-userfold-contract"
"""The metadata in which a gateway states its version of the contract. Gateways of version 0.1 send none."""

CONTRACT_VERSION: Final = 2

REPORTS_REFUSALS: Final = "x-userfold-reports-refusals"
"""The metadata in which a gateway says that it counts the refusals of its calls, and reports them."""

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]


class RefusalSource:
    """Counts the refusals and warnings of one caller, unless they are counted by the gateway that calls."""

    __slots__ = ("_application_id", "_counts", "_is_counted", "_library", "_metadata")

    def __init__(self, counts: RefusalCounts, application_id: str, metadata: Metadata) -> None:
        self._counts = counts
        self._application_id = application_id
        self._metadata = metadata
        self._library: str | None = None
        self._is_counted = True

    def add(
        self, reason: str, method: str, fields: tuple[tuple[str, str], ...] = (), *, is_warning: bool = False
    ) -> None:
        """Count a refusal or a warning. `fields` are pairs of a name of the contract and a reason."""
        if self._library is None:
            self._read_metadata()
        if self._is_counted:
            kind = RefusalKind(reason, is_warning, method, fields, self._library or "")
            self._counts.add(self._application_id, kind)

    def _read_metadata(self) -> None:
        self._library = ""
        for name, value in self._metadata:
            if name == REPORTS_REFUSALS:
                self._is_counted = False
            elif name == "user-agent" and isinstance(value, str):
                self._library = client_library(value)


@dataclass(slots=True)
class SingleRequests:
    """The requests of many clients that travel in one call: the method that each client called, and the number of
    requests for each status code, by its name."""

    method: str
    codes: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """A call that was authenticated and admitted.

    `size_bytes` is the size of its request; 0 for a stream. The items of the request with the indices `oversized` are
    larger than `limits.UPDATE_BYTES`: they were not parsed, and are empty. `peer` returns gRPC's name of the peer; it
    is a function, because to ask gRPC costs. Its refusals are added to `counts`. `requests` is set where the call holds
    the requests of many clients, which metrics count instead of it.

    Logs show as much of the client's address as `addresses` says. Where the items of the request are requests of their
    own, they have `origins` and `client_addresses`, as the request has them.
    """

    application: Application
    metadata: Metadata = field(repr=False)
    peer: Callable[[], str] = field(repr=False)
    counts: RefusalCounts = field(repr=False)
    size_bytes: int = 0
    oversized: frozenset[int] = frozenset()
    requests: SingleRequests | None = None
    addresses: Addresses = Addresses.NONE
    origins: Sequence[str] = ()
    client_addresses: Sequence[str] = ()
    _refusals: RefusalSource | None = field(default=None, init=False, repr=False)
    _origin: Origin | None = field(default=None, init=False, repr=False)

    @property
    def refusals(self) -> RefusalSource:
        """What counts the refusals and warnings of this call."""
        if self._refusals is None:
            self._refusals = RefusalSource(self.counts, self.application_id, self.metadata)
        return self._refusals

    @property
    def application_id(self) -> str:
        """The id of the application that calls."""
        return self.application.application_id

    @property
    def origin(self) -> Origin:
        """The origin of the call."""
        if self._origin is None:
            self._origin = origin_of_call(self.metadata, self.application, self.addresses, self.peer)
        return self._origin

    def origin_of(self, index: int) -> Origin:
        """The origin of one item of the request: that of the call, unless the items have origins of their own."""
        if index >= len(self.origins):
            return self.origin
        address = self.client_addresses[index] if index < len(self.client_addresses) else ""
        application = self.application
        return unpacked(self.origins[index]).of(
            application.application_id, application.credential_id, self.addresses.shown(address)
        )

    def client_address(self) -> str | None:
        """The address of the client, as the gateway states it; else that of the peer. None for a local socket."""
        return _client_address(self.metadata, self.peer)

    def require(self, scope: Scope) -> None:
        """Raise ScopeMissing where the credential does not have this scope too, as for a dry run, which shows what is
        stored.
        """
        require(Need(scope), self.application)


def origin_of_call(
    metadata: Metadata, application: Application | None, addresses: Addresses, peer: Callable[[], str]
) -> Origin:
    """The origin of a call, of an application if that is known. Its address is shown as far as `addresses` says."""
    address = "" if addresses is Addresses.NONE else addresses.shown(_client_address(metadata, peer))
    ids = (application.application_id, application.credential_id) if application else ("", "")
    return origin_from_metadata(metadata).of(*ids, address)


def _client_address(metadata: Metadata, peer: Callable[[], str]) -> str | None:
    for name, value in metadata:
        if name == CLIENT_ADDRESS and isinstance(value, str):
            return client_address(value)
    return address_of_peer(peer())


def is_from_gateway_0_1(metadata: Metadata) -> bool:
    """Whether a call was made by a gateway of version 0.1."""
    names = [name for name, _ in metadata]
    return CLIENT_ADDRESS in names and CONTRACT not in names
