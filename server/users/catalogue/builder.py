"""Builds a catalogue from the metadata of sampled users, in slices, within a bounded number of paths."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

from server import limits
from server.merge.field_names import unescape_key
from server.model import JsonObject
from server.users.catalogue.nodes import Node
from server.users.catalogue.strings import is_personal

Slices: TypeAlias = Iterator[None]
"""Work that pauses after each slice of about `limits.SLICE_WORK` steps, so that others have a turn."""

NODES: Final = 5_000
"""Paths that are counted apart. When there are more after a profile, rare ones are united."""

NODES_WITHIN_PROFILE: Final = (4 * NODES, 2 * NODES)
"""The same within a profile, for objects with few keys and for those with many: from then on, new keys are united."""

KEYS: Final = 50_000
"""Different keys that are counted behind all wildcards."""

MANY_KEYS: Final = 100
"""An object with more keys has one wildcard for the rare ones of them."""

_VERY_MANY_KEYS: Final = 1_000
_FEW_USERS: Final = 10
"""Among fewer users, every key is rare. So rare keys are listed, unless they are very many."""

_RARE: Final = 100
"""A key is rare if at most one user in so many has it."""

# In steps of `limits.SLICE_WORK`.
_VALUE_STEPS: Final = 8
_MERGE_STEPS: Final = 24
_NODE_STEPS: Final = 4


class CatalogueBuilder:
    """Adds up the metadata of users. `root` stands for `metadata` itself, and `users` is how many were added."""

    def __init__(self) -> None:
        self.root = Node()
        self.users = 0
        self._nodes = 1
        self._keys = 0
        self._steps = 0

    def add(self, metadata: JsonObject) -> Slices:
        """Add the stored metadata of one user. Profiles are best added in the order of their sizes: then the usual
        paths are known before a large profile has too many."""
        user = 1 << self.users
        self.users += 1
        self.root.users |= user
        levels: list[tuple[Iterator[tuple[str, Any]], Node]] = [(iter(metadata.items()), self.root)]
        while levels:
            items, node = levels[-1]
            for key, value in items:
                child = node.children.get(key) or self._new_child(node, key)
                child.users |= user
                self._steps += _VALUE_STEPS * child.add(value)
                if self._steps >= limits.SLICE_WORK:
                    self._steps = 0
                    yield
                if value.__class__ is dict and value:
                    levels.append((iter(value.items()), child))
                    break
            else:
                levels.pop()
        if self._nodes > NODES:
            yield from self._unite(NODES // 2)

    def finish(self) -> Slices:
        """Unite the rare keys of each object that has many. Nothing may be added any more."""
        nodes = [self.root]
        while nodes:
            node = nodes.pop()
            count = node.user_count
            if len(node.children) > (MANY_KEYS if count >= _FEW_USERS else _VERY_MANY_KEYS):
                yield from self._unite_rare(node, max(1, count // _RARE))
            nodes += _inside(node)
            yield from self._spend(_NODE_STEPS)

    def _new_child(self, node: Node, key: str) -> Node:
        """The child for a key that has none: a new one, or the rest."""
        if self._nodes >= NODES_WITHIN_PROFILE[len(node.children) > MANY_KEYS]:
            node.is_closed = True
        if node.is_closed or is_personal(unescape_key(key)):
            return self._rest_for(node, key)
        child = node.children[key] = Node()
        self._nodes += 1
        return child

    def _rest_for(self, node: Node, key: str) -> Node:
        if node.rest is None:
            node.rest = Node()
            self._nodes += 1
        if self._keys < KEYS:
            self._keys += node.rest.add_key(key)
        return node.rest

    def _unite(self, limit: int) -> Slices:
        """Unite rare keys until there are at most `limit` paths: first those of the objects with the most keys."""
        for fewest in (MANY_KEYS, 0):
            rare = 1
            while self._nodes > limit and rare < 2 * self.users:
                objects: list[Node] = []
                yield from self._find_objects(fewest, objects)
                objects.sort(key=lambda node: len(node.children), reverse=True)
                for node in objects:
                    if self._nodes <= limit:
                        return
                    if not node.is_merged:
                        yield from self._unite_rare(node, rare)
                rare *= 2

    def _find_objects(self, fewest: int, found: list[Node]) -> Slices:
        """Append the nodes with more than `fewest` keys."""
        left = [self.root]
        while left:
            node = left.pop()
            if len(node.children) > fewest:
                found.append(node)
            left += _inside(node)
            yield from self._spend(_NODE_STEPS)

    def _unite_rare(self, node: Node, users: int) -> Slices:
        """Unite the keys of an object that at most so many users have. Later ones join them."""
        for key, child in list(node.children.items()):
            if child.user_count <= users:
                del node.children[key]
                node.is_closed = True
                yield from self._merge(child, self._rest_for(node, key))
            else:
                yield from self._spend(_NODE_STEPS)

    def _merge(self, node: Node, into: Node) -> Slices:
        """Merge a node, and all inside it, into another one, which replaces it."""
        into.merge(node)
        self._nodes -= 1
        yield from self._spend(_MERGE_STEPS)
        for key, child in node.children.items():
            known = into.children.get(key)
            if known is None and into.is_closed:
                known = self._rest_for(into, key)
            if known is None:
                into.children[key] = child
            else:
                yield from self._merge(child, known)
        if node.rest is not None:
            if into.rest is None:
                into.rest = node.rest
            else:
                yield from self._merge(node.rest, into.rest)
        into.is_closed = into.is_closed or node.is_closed

    def _spend(self, steps: int) -> Slices:
        self._steps += steps
        if self._steps >= limits.SLICE_WORK:
            self._steps = 0
            yield


def _inside(node: Node) -> Sequence[Node]:
    return [*node.children.values(), *([node.rest] if node.rest else [])]
