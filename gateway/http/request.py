"""An HTTP request as the application sees it: whole, and as it was sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field


# Not frozen, though nobody changes them: one is made for every update, and freezing costs a microsecond.
@dataclass(slots=True)
class Request:
    """One request. `path` is still percent-encoded, and `headers` have lower-case names.

    Of a header that came several times the first counts, but of those that are lists: their lines are joined by
    commas, those of `forwarded` by line feeds.
    `client` is the address of the peer, empty where there is none.
    """

    method: str
    path: bytes
    query: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    client: str = ""
    keeps_alive: bool = True
