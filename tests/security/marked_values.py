"""Random values that tests store, and a search for them in any bytes."""

import base64
import secrets
from dataclasses import dataclass, field
from enum import Enum

from userfold.v1.user_pb2 import UserUpdate

from tests.support.example_requests import UserIds


class ValueKind(Enum):
    SECRET = "secret"
    ISSUED = "secret that a response shows once"
    PAGE_TOKEN = "page token"
    PERSONAL = "personal value"
    KEY = "key of metadata"


@dataclass
class MarkedValues:
    """The marked values. Each has a name, which failures print instead of the value."""

    _names: dict[str, tuple[ValueKind, str]] = field(default_factory=dict)

    def make(self, kind: ValueKind, name: str) -> str:
        """A new value of 16 hexadecimal digits."""
        return self.mark(kind, name, secrets.token_hex(8))

    def address(self, name: str) -> str:
        """A new value that is an IP address."""
        groups = (f"{0x1000 + secrets.randbelow(0xF000):x}" for _ in range(6))
        return self.mark(ValueKind.PERSONAL, name, ":".join(("2001:db8", *groups)))

    def mark(self, kind: ValueKind, name: str, text: str) -> str:
        """Mark a value that exists already."""
        self._names[text] = kind, name
        return text

    def found(self, within: bytes, *kinds: ValueKind) -> set[str]:
        """The names of the values of these kinds in `within`, in any case, in hexadecimal or in base64."""
        lower = within.lower()
        return {
            name
            for text, (kind, name) in self._names.items()
            if kind in kinds and any(form in lower for form in _forms(text.encode()))
        }

    def names(self, *kinds: ValueKind) -> set[str]:
        return {name for kind, name in self._names.values() if kind in kinds}


def _forms(text: bytes) -> list[bytes]:
    # In base64 a value has three forms, depending on its offset. The digits at its ends depend on its neighbours.
    shifted = [base64.b64encode(b"\0" * shift + text)[4 if shift else 0 : -4] for shift in range(3)]
    return [form.lower() for form in (text, text.hex().encode(), *shifted)]


class MarkedIds(UserIds):
    """The ids and values of one user, all of them marked. Each begins with `prefix`."""

    def __init__(self, values: MarkedValues, prefix: str = "") -> None:
        super().__init__("")
        personal = ("user_id", "company_id", "anonymous_id", "unknown_visitor", "utm_source", "name", "phone")
        for name in (*personal, "value", "agent"):
            setattr(self, name, prefix + values.make(ValueKind.PERSONAL, f"{prefix}{name}"))
        self.key = prefix + values.make(ValueKind.KEY, f"{prefix}key")
        self.session_token = prefix + values.make(ValueKind.SECRET, f"{prefix}session token")
        self.email = f"{prefix}{values.make(ValueKind.PERSONAL, f'{prefix}email')}@acme.com"
        self.ip_address = values.address(f"{prefix}ip address")

    def update(self) -> UserUpdate:
        update = super().update()
        own = vars(self)
        update.ip_address, update.user_agent_string = self.ip_address, own["agent"]
        names = {"first_name": own["name"], "phone": own["phone"]}
        update.metadata.update(names | {self.key: {"deep": [own["value"]]}})
        return update
