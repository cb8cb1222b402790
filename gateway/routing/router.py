"""Finds the route of a request by its method and path."""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final, TypeAlias

from gateway.routing import http_rules

_LOGGED_SEGMENTS: Final = 8

# The name of a resource, mistyped or not served: `/v1/subscription`. Values hardly ever stand in its place.
_RESOURCE: Final = re.compile(r"[a-z]{1,32}")


Route: TypeAlias = http_rules.Match | http_rules.MethodNotAllowed | str | None
"""A binding; a path that is bound to other methods; one of the fixed paths, whatever the method; or no route."""


class Routes:
    """Finds routes by path, with or without the prefix. `fixed_paths` are routes that no annotation has."""

    def __init__(self, bindings: tuple[http_rules.Binding, ...], fixed_paths: Iterable[str], prefix: str) -> None:
        self._bindings = bindings
        self._fixed_paths = frozenset(fixed_paths)
        self._prefix = prefix
        templates = (*(binding.template for binding in bindings), *self._fixed_paths)
        self._segments = {segment for template in templates for segment in template.split("/")}
        # Matched in advance: nearly all requests have one of these paths.
        self._without_fields = {
            (binding.method, path): self._find(binding.method, path)
            for binding in bindings
            if not binding.pattern.groupindex
            for path in (binding.template.encode(), f"{prefix}{binding.template}".encode())
        }

    def find(self, method: str, raw_path: bytes) -> Route:
        """The route of a path, which is still percent-encoded. Raises InvalidPath."""
        return self._without_fields.get((method, raw_path)) or self._find(method, raw_path)

    def loggable(self, method: str, raw_path: bytes) -> str:
        """The method and path of a request without a route, for the log. `*` stands for each segment that may be a
        value: one that no route has, and that is not the name of a resource."""
        segments = next(self._paths(raw_path)).split("/")[1 : _LOGGED_SEGMENTS + 2]
        logged = [
            segment if segment in self._segments or (before == "v1" and _RESOURCE.fullmatch(segment)) else "*"
            for before, segment in pairwise(["", *segments[:_LOGGED_SEGMENTS]])
        ]
        more = "/..." if len(segments) > _LOGGED_SEGMENTS else ""
        return f"{method} /{'/'.join(logged)}{more}"

    def _find(self, method: str, raw_path: bytes) -> Route:
        for path in self._paths(raw_path):
            if path in self._fixed_paths:
                return path
            # A repeated slash inside a path may stand for an id that is empty or begins with a slash. Then the merged
            # path would list all users, or delete another one. Client libraries repeat slashes in the paths of POSTs.
            if method != "POST" and not raw_path.endswith(path.encode("latin-1")):
                continue
            if match := http_rules.match(self._bindings, method, path):
                return match
        return None

    def _paths(self, raw_path: bytes) -> Iterator[str]:
        """The path without the prefix, and as it is. Repeated slashes are merged, and one at the end is removed."""
        path = re.sub("/+", "/", raw_path.decode("latin-1")).rstrip("/")
        if self._prefix and path.startswith(f"{self._prefix}/"):
            yield path.removeprefix(self._prefix)
        yield path
