"""Room that applications share: calls, and the bytes of their messages; open streams."""

from server.errors import Overloaded


class Places:
    """Room for so many calls or streams, with messages of so many bytes.

    An application may use at most as many places, and as many bytes, as remain free: half when it is alone, a third
    each when two compete. So no application takes all.
    """

    def __init__(self, places: int, octets: int = 1) -> None:
        self.free = places
        self.free_octets = octets
        self._held: dict[str, list[int]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nobody has a place."""
        return not self._held

    def has_room(self, owner: str) -> bool:
        """Whether `take` has a place for an application now, for a message of no bytes."""
        held = self._held.get(owner, _NOTHING)
        return held[0] < self.free and held[1] < self.free_octets

    def take(self, owner: str, octets: int = 0) -> None:
        """Take a place. Raises Overloaded."""
        held = self._held.get(owner)
        places, held_octets = held or _NOTHING
        if places >= self.free or held_octets + octets > self.free_octets:
            raise Overloaded
        if held is None:
            self._held[owner] = [1, octets]
        else:
            held[0] = places + 1
            held[1] = held_octets + octets
        self.free -= 1
        self.free_octets -= octets

    def give_back(self, owner: str, octets: int = 0) -> None:
        """Give a place back that was taken for so many bytes."""
        held = self._held[owner]
        if held[0] == 1:
            del self._held[owner]
        else:
            held[0] -= 1
            held[1] -= octets
        self.free += 1
        self.free_octets += octets


_NOTHING = (0, 0)
