"""The call that is being served, for the method to ask whose it is."""

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeAlias

from server.model import Application

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
