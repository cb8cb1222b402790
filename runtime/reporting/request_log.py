"""Which requests have a line of their own in the log, and what it shows of them."""

from dataclasses import dataclass
from typing import Final
from zlib import crc32

import structlog

from runtime.reporting.origin import Addresses, Origin

_ALL: Final = 2**32

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RequestLog:
    """The settings of the log that concern requests.

    `share`, from 0 to 1, of all requests have a line. The request id decides, so that all programs choose the same.
    """

    share: float = 0.0
    addresses: Addresses = Addresses.NONE

    @property
    def is_on(self) -> bool:
        """Whether any request has a line."""
        return self.share > 0

    def has_line(self, request_id: str) -> bool:
        """Whether the request with this id has a line."""
        return crc32(request_id.encode()) < self.share * _ALL

    def write(self, origin: Origin, **fields: object) -> None:
        """Write the line of a request."""
        _log.info("request", **origin.fields(), **fields)


NO_REQUESTS: Final = RequestLog()
"""No request has a line, and no address is shown."""
