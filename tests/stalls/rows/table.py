"""All rows, by name."""

from collections.abc import Mapping
from typing import Final

from tests.stalls.rows import many_calls, reads, unknown_credentials, writes
from tests.stalls.rows.row import Row

_ALL: Final = (*writes.ROWS, *unknown_credentials.ROWS, *reads.ROWS, *many_calls.ROWS)

ROWS: Final[Mapping[str, Row]] = {row.name: row for row in _ALL}

assert len(ROWS) == len(_ALL), "two rows have one name"
