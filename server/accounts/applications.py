"""Applications as they are stored."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StoredApplication:
    """An application. Versions before 0.3 stored no `created_time`."""

    application_id: str
    name: str
    created_time: datetime | None
