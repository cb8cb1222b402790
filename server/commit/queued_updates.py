"""Updates that wait for their group: what they are, and what they amount to."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from server import limits
from server.errors import UserfoldError, WriteOutcomeUnknown
from server.model import PlannedUpdate, ProfileWrite
from server.users.ports import Outcome


class Room:
    """The updates and bytes that wait or are under way, of all applications together and of each."""

    __slots__ = ("_bytes", "_bytes_of", "_most", "_updates_of", "updates")

    def __init__(self, most: int) -> None:
        self._most = most
        self.updates = 0
        self._bytes = 0
        self._updates_of: Counter[object] = Counter()
        self._bytes_of: Counter[object] = Counter()

    def has(self, application: object, updates: int, size: int) -> bool:
        """Whether there is room for so many more updates of an application, of so many bytes in all."""
        # An application may have as much as it leaves free for all others. What waits for nobody is always taken.
        updates += self._updates_of[application]
        size += self._bytes_of[application]
        is_free = updates <= self._most - self.updates and size <= limits.WAITING_BYTES - self._bytes
        return is_free or not self.updates

    def take(self, application: object, updates: int, size: int) -> None:
        """Count updates of an application, of `size` bytes in all."""
        self.updates += updates
        self._bytes += size
        self._updates_of[application] += updates
        self._bytes_of[application] += size

    def resize(self, waiting: "Waiting", size: int) -> None:
        """Count an update with its size, which was not known before."""
        self._bytes += size - waiting.size
        self._bytes_of[waiting.call.application] += size - waiting.size
        waiting.size = size

    def give_back(self, writes: "Sequence[Waiting]") -> None:
        """Count updates that have their outcome no more."""
        self.updates -= len(writes)
        for waiting in writes:
            application = waiting.call.application
            self._bytes -= waiting.size
            self._bytes_of[application] -= waiting.size
            self._updates_of[application] -= 1
            if not self._updates_of[application]:
                del self._updates_of[application], self._bytes_of[application]


class Waiting:
    """One write of a call."""

    __slots__ = ("call", "index", "size", "write")

    def __init__(self, call: "Call", index: int, write: ProfileWrite) -> None:
        self.call = call
        self.index = index
        self.write = write
        self.size = write.size


class Unplanned(Waiting):
    """An update whose write is there when it is `planned`."""

    __slots__ = ("plan", "planned")

    def __init__(self, call: "Call", size: int, plan: Callable[[], PlannedUpdate]) -> None:
        self.call = call
        self.index = 0
        self.size = size
        self.plan = plan
        self.planned: PlannedUpdate | None = None


class Call:
    """The writes of one caller: answered together, though they may travel in several groups."""

    __slots__ = ("_left", "_outcomes", "application", "done")

    def __init__(self, application: str, writes: int) -> None:
        self.application = application
        self._outcomes: list[Outcome] = [WriteOutcomeUnknown()] * writes
        self._left = writes
        self.done: asyncio.Future[Sequence[Outcome]] = asyncio.get_running_loop().create_future()

    def settle(self, index: int, outcome: "Outcome | Exception") -> None:
        if isinstance(outcome, Exception) and not isinstance(outcome, UserfoldError):
            # A defect of the store's is told to everyone who waits for it.
            self.fail(outcome)
            return
        self._outcomes[index] = outcome
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(self._outcomes)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
