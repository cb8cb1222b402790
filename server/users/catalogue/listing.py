"""The catalogue as it is returned: paths in the notation of filters, with counts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from server import limits
from server.merge.field_names import unescape_key
from server.merge.paths import key_text
from server.users.catalogue.builder import Slices
from server.users.catalogue.nodes import Node, Numbers
from server.users.catalogue.strings import Shape

PATHS: Final = 2_000
"""Paths in a catalogue."""

PATH_BYTES: Final = 1_024
"""The size of a path that is found."""

SHAPES: Final = 5
"""Shapes of the strings at one path."""

_PATH_STEPS: Final = 20
"""In steps of `limits.SLICE_WORK`."""

_WILDCARD: Final = ".*"
_OTHER: Final = Shape("other")
_SAME: Final = {"empty_object": "object", "empty_array": "array"}


@dataclass(frozen=True, slots=True)
class CataloguePath:
    """A path, and what the sampled users have there. `lengths` are by the largest length of their class.

    `keys` is how many keys the last part of the path stands for, if that is a wildcard.
    """

    path: str
    has_wildcard: bool
    users: int
    types: Sequence[tuple[str, int]]
    has_conflict: bool
    shapes: Sequence[tuple[Shape, int]]
    numbers: Numbers | None
    elements: Sequence[tuple[str, int]]
    lengths: Sequence[tuple[int, int]]
    keys: int


@dataclass(frozen=True, slots=True)
class _Found:
    node: Node
    path: str
    has_wildcard: bool


class Listing:
    """The paths below a node that stands for `metadata`, in order: a wildcard first, then keys by the alphabet."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._found: list[_Found] = []
        self.has_more = False
        """Whether there are more paths than `paths` returns."""

    def collect(self) -> Slices:
        """Find all paths. To be completed before `paths` is called."""
        steps = 0
        left = [*_inside(_Found(self._root, "metadata", False))]
        while left:
            found = left.pop()
            if len(found.path.encode()) > PATH_BYTES:
                self.has_more = True
                continue
            self._found.append(found)
            left += _inside(found)
            steps += _PATH_STEPS
            if steps >= limits.SLICE_WORK:
                steps = 0
                yield
        self.has_more = self.has_more or len(self._found) > PATHS

    def paths(self) -> Iterator[CataloguePath]:
        """The paths: at most PATHS, those of the most users."""
        counts = sorted((found.node.user_count for found in self._found), reverse=True)[:PATHS]
        fewest = counts[-1] if counts else 0
        # No path is in more profiles than the one that leads to it, which is before it.
        room = counts.count(fewest)
        for found in self._found:
            count = found.node.user_count
            if count > fewest or (count == fewest and room > 0):
                room -= count == fewest
                yield _described(found)


def _inside(found: _Found) -> Iterator[_Found]:
    """The paths directly inside an object, the last one first."""
    for key, child in sorted(
        ((unescape_key(key), child) for key, child in found.node.children.items()), reverse=True, key=itemgetter(0)
    ):
        yield _Found(child, found.path + key_text(key), found.has_wildcard)
    if found.node.rest is not None:
        yield _Found(found.node.rest, found.path + _WILDCARD, True)


def _described(found: _Found) -> CataloguePath:
    node = found.node
    is_wild = found.path.endswith(_WILDCARD)
    return CataloguePath(
        path=found.path,
        has_wildcard=found.has_wildcard,
        users=node.user_count,
        types=_most_frequent(node.types),
        has_conflict=not is_wild and len({_SAME.get(kind, kind) for kind in node.types}) > 1,
        shapes=_shapes(node.shapes),
        numbers=node.numbers,
        elements=_most_frequent(node.elements or {}),
        lengths=sorted((node.lengths or {}).items()),
        keys=len(node.keys or ()),
    )


def _most_frequent(counts: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _shapes(counts: Mapping[Shape, int]) -> Sequence[tuple[Shape, int]]:
    """The shapes of one path, at most SHAPES: without lengths and patterns where there would be more."""
    if len(counts) > SHAPES:
        general: dict[Shape, int] = {}
        for shape, count in counts.items():
            general[shape.general] = general.get(shape.general, 0) + count
        counts = general
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if len(ordered) > SHAPES:
        rest = sum(count for _, count in ordered[SHAPES - 1 :])
        ordered = [*ordered[: SHAPES - 1], (_OTHER, rest)]
    return ordered
