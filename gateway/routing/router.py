"""What the path of a request leads to."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from gateway.routing import http_rules, not_stored

_LOGGED_SEGMENTS: Final = 8

# The name of a resource, mistyped or not served: `/v1/subscription`. A value hardly ever stands there.
_RESOURCE: Final = re.compile(r"[a-z]{1,32}")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A POST to this path is accepted, and not stored."""

    path: str


Route: TypeAlias = http_rules.Match | http_rules.MethodNotAllowed | Accepted | str | None
"""A binding; one with other methods; a call that is not stored; the path of a constant, or of such a call with another
method; or nothing."""

ADMITTED: Final = (http_rules.Match, Accepted)
"""What a credential is needed for."""


class Routes:
    """Finds routes by path, with or without the prefix. `constants` are paths, for any method."""

    def __init__(self, bound: tuple[http_rules.Binding, ...], constants: Iterable[str], prefix: str) -> None:
        self._bindings = bound
        self._constants = frozenset(constants)
        self._prefix = prefix
        templates = (*(binding.template for binding in bound), *self._constants, *not_stored.ROUTES)
        self._segments = {segment for template in templates for segment in template.split("/")}
        # Found once: nearly all requests have one of these paths.
        self._fixed = {
            (binding.method, path): self._find(binding.method, path)
            for binding in bound
            if not binding.pattern.groupindex
            for path in (binding.template.encode(), f"{prefix}{binding.template}".encode())
        }

    def find(self, method: str, raw_path: bytes) -> Route:
        """What a path, as it was sent, leads to. Raises InvalidPath."""
        return self._fixed.get((method, raw_path)) or self._find(method, raw_path)

    def shown(self, method: str, raw_path: bytes) -> str:
        """The method and path of a request that leads nowhere, for the log. `*` stands for what may be a value: each
        segment that no route has, but for the name of a resource."""
        segments = next(self._paths(raw_path)).split("/")[1 : _LOGGED_SEGMENTS + 2]
        shown = [
            segment if segment in self._segments or (before == "v1" and _RESOURCE.fullmatch(segment)) else "*"
            for before, segment in pairwise(["", *segments[:_LOGGED_SEGMENTS]])
        ]
        more = "/..." if len(segments) > _LOGGED_SEGMENTS else ""
        return f"{method} /{'/'.join(shown)}{more}"

    def _find(self, method: str, raw_path: bytes) -> Route:
        for path in self._paths(raw_path):
            if path in not_stored.ROUTES:
                return Accepted(path) if method == "POST" else path
            if path in self._constants:
                return path
            # A slash too many inside a path may be an id that is empty, or begins with one: a list, or a deletion of
            # another user, is not what it asks for. Client libraries send their POSTs with such slashes.
            if method != "POST" and not raw_path.endswith(path.encode("latin-1")):
                continue
            if found := http_rules.match(self._bindings, method, path):
                return found
        return None

    def _paths(self, raw_path: bytes) -> Iterator[str]:
        """What a path may mean: with the prefix taken off, or as it is. Runs of `/` are one; one at the end is none."""
        path = re.sub("/+", "/", raw_path.decode("latin-1")).rstrip("/")
        if self._prefix and path.startswith(f"{self._prefix}/"):
            yield path.removeprefix(self._prefix)
        yield path


def template_of(found: http_rules.Match | Accepted) -> str:
    """What logs and metrics call a route."""
    return found.path if isinstance(found, Accepted) else found.binding.template
