"""Capacity that applications share: calls in flight and the bytes of their requests, or open streams."""

from server.errors import Overloaded

_NOTHING = (0, 0)


class SharedCapacity:
    """A number of places, and a number of bytes for the requests that take them.

    An application may hold at most as many places, and as many bytes, as remain free: half when it is alone, a third
    each when two compete. So no application takes all.
    """

    def __init__(self, places: int, size_bytes: int = 1) -> None:
        self.free = places
        self.free_bytes = size_bytes
        self._held: dict[str, list[int]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no place is taken."""
        return not self._held

    def has_room(self, application_id: str) -> bool:
        """Whether `take` would now succeed for an empty request of an application."""
        places, size_bytes = self._held.get(application_id, _NOTHING)
        return places < self.free and size_bytes < self.free_bytes

    def take(self, application_id: str, size_bytes: int = 0) -> None:
        """Take a place for a request of this size. Raises Overloaded."""
        held = self._held.get(application_id)
        places, held_bytes = held or _NOTHING
        if places >= self.free or held_bytes + size_bytes > self.free_bytes:
            raise Overloaded
        if held is None:
            self._held[application_id] = [1, size_bytes]
        else:
            held[0] = places + 1
            held[1] = held_bytes + size_bytes
        self.free -= 1
        self.free_bytes -= size_bytes

    def give_back(self, application_id: str, size_bytes: int = 0) -> None:
        """Give back a place that was taken for a request of this size."""
        held = self._held[application_id]
        if held[0] == 1:
            del self._held[application_id]
        else:
            held[0] -= 1
            held[1] -= size_bytes
        self.free += 1
        self.free_bytes += size_bytes
