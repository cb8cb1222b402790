"""What the sampled users have at one path."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from server.users.catalogue.strings import Shape, shape_of

_SHAPES: Final = 32
"""Shapes of one path that are counted apart. Lengths and patterns of further ones are not."""

LENGTHS: Final = (1, 10, 100, 1_000, 10_000, 50_000)
"""The largest length of each class of arrays."""

_TYPES: Final = {str: "string", bool: "boolean", dict: "object", list: "array", type(None): "null"}
"""The names of types. All others are numbers."""

_TEXT_PER_STEP: Final = 200
_ELEMENTS_PER_STEP: Final = 20


@dataclass(slots=True)
class Numbers:
    """Counts numbers. An exponent is that of the power of ten that a number reaches; None: all are 0."""

    integers: int = 0
    negatives: int = 0
    zeros: int = 0
    smallest: int | None = None
    largest: int | None = None

    def add(self, number: float) -> None:
        """Count a number, which has 64 bits."""
        self.integers += isinstance(number, int) or number.is_integer()
        self.negatives += number < 0
        self.zeros += not number
        if not number or not math.isfinite(number):
            return
        exponent = len(str(abs(number))) - 1 if isinstance(number, int) else math.floor(math.log10(abs(number)))
        self._widen(exponent, exponent)

    def merge(self, other: "Numbers") -> None:
        """Add the counts of other numbers."""
        self.integers += other.integers
        self.negatives += other.negatives
        self.zeros += other.zeros
        if other.smallest is not None and other.largest is not None:
            self._widen(other.smallest, other.largest)

    def _widen(self, smallest: int, largest: int) -> None:
        self.smallest = smallest if self.smallest is None else min(self.smallest, smallest)
        self.largest = largest if self.largest is None else max(self.largest, largest)


class Node:
    """A path: the users who have it, and what their values look like.

    `users` has a bit for each of them, so that those of several keys can be united exactly. `children` are the keys of
    the objects at the path, as they are stored, and `rest` all keys without a child, whose hashes are in its `keys`. A
    node that `is_closed` gets no more children.
    """

    __slots__ = (
        *("children", "elements", "is_closed", "is_merged", "keys", "lengths", "numbers", "rest", "shapes", "types"),
        "users",
    )

    def __init__(self) -> None:
        self.users = 0
        self.types: dict[str, int] = {}
        self.shapes: dict[Shape, int] = {}
        self.numbers: Numbers | None = None
        self.elements: Counter[str] | None = None
        self.lengths: Counter[int] | None = None
        self.children: dict[str, Node] = {}
        self.rest: Node | None = None
        self.keys: set[int] | None = None
        self.is_closed = self.is_merged = False

    @property
    def user_count(self) -> int:
        """The number of users who have the path."""
        return self.users.bit_count()

    def add(self, value: Any) -> int:
        """Count a value, but for what is inside an object. Returns the steps that it took."""
        kind = _TYPES.get(value.__class__, "number")
        steps = 1
        if kind == "string":
            self._add_shape(shape_of(value), 1)
            steps += min(len(value), 2_000) // _TEXT_PER_STEP
        elif kind == "number":
            if self.numbers is None:
                self.numbers = Numbers()
            self.numbers.add(value)
        elif not value and kind != "boolean":
            kind = f"empty_{kind}"
        elif kind == "array":
            self._add_array(value)
            steps += len(value) // _ELEMENTS_PER_STEP
        self.types[kind] = self.types.get(kind, 0) + 1
        return steps

    def add_key(self, key: str) -> bool:
        """Count a key that this node stands for. Returns whether it is a new one."""
        if self.keys is None:
            self.keys = set()
        count = len(self.keys)
        self.keys.add(hash(key))
        return len(self.keys) > count

    def merge(self, other: "Node") -> None:
        """Add the users and values of another node, but for what is inside objects. The other is not used any more."""
        self.users |= other.users
        for kind, count in other.types.items():
            self.types[kind] = self.types.get(kind, 0) + count
        for shape, count in other.shapes.items():
            self._add_shape(shape, count)
        if other.numbers is not None:
            if self.numbers is None:
                self.numbers = Numbers()
            self.numbers.merge(other.numbers)
        if other.elements is not None and other.lengths is not None:
            elements, lengths = self._arrays()
            elements.update(other.elements)
            lengths.update(other.lengths)
        if other.keys:
            self.keys = (self.keys or set()) | other.keys
        other.is_merged = True

    def _add_shape(self, shape: Shape, count: int) -> None:
        if shape not in self.shapes and len(self.shapes) >= _SHAPES:
            shape = shape.general
        self.shapes[shape] = self.shapes.get(shape, 0) + count

    def _add_array(self, array: Sequence[Any]) -> None:
        elements, lengths = self._arrays()
        for kind, count in Counter(map(type, array)).items():
            elements[_TYPES.get(kind, "number")] += count
        lengths[next((longest for longest in LENGTHS if len(array) <= longest), LENGTHS[-1])] += 1

    def _arrays(self) -> tuple[Counter[str], Counter[int]]:
        if self.elements is None or self.lengths is None:
            self.elements, self.lengths = Counter(), Counter()
        return self.elements, self.lengths
