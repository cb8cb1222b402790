"""All rows, by name."""

from collections.abc import Mapping
from typing import Final

from tests.stalls import crowds, nobody, reads, writes
from tests.stalls.row import Row

ROWS: Final[Mapping[str, Row]] = {row.name: row for row in (*writes.ROWS, *nobody.ROWS, *reads.ROWS, *crowds.ROWS)}

assert len(ROWS) == len(writes.ROWS) + len(nobody.ROWS) + len(reads.ROWS) + len(crowds.ROWS), "two rows have one name"
