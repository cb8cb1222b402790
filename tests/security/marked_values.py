"""Values that are recognised wherever they turn up, and what finds them in bytes."""

import base64
import secrets
from dataclasses import dataclass, field
from enum import Enum

from userfold.v1.user_pb2 import UserUpdate

from tests.support.example_requests import UserIds


class Canary(Enum):
    SECRET = "secret"
    PAGE_TOKEN = "page token"
    PERSONAL = "personal value"
    KEY = "key of metadata"


@dataclass
class Canaries:
    """All that were made: what each is called, by its text."""

    _names: dict[str, tuple[Canary, str]] = field(default_factory=dict)

    def make(self, kind: Canary, name: str) -> str:
        """A new one: 16 hexadecimal digits."""
        return self.take(kind, name, secrets.token_hex(8))

    def address(self, name: str) -> str:
        """A new one that is an IP address."""
        groups = (f"{0x1000 + secrets.randbelow(0xF000):x}" for _ in range(6))
        return self.take(Canary.PERSONAL, name, ":".join(("2001:db8", *groups)))

    def take(self, kind: Canary, name: str, text: str) -> str:
        """Make a text one of them."""
        self._names[text] = kind, name
        return text

    def found(self, within: bytes, *kinds: Canary) -> set[str]:
        """The names of those of these kinds that are in these bytes: in whatever case, in hexadecimal or in base64."""
        lower = within.lower()
        return {
            name
            for text, (kind, name) in self._names.items()
            if kind in kinds and any(form in lower for form in _forms(text.encode()))
        }

    def names(self, *kinds: Canary) -> set[str]:
        return {name for kind, name in self._names.values() if kind in kinds}


def _forms(text: bytes) -> list[bytes]:
    # As base64 a text has three forms, by where it begins; its first and last digits depend on what is around it.
    shifted = [base64.b64encode(b"\0" * shift + text)[4 if shift else 0 : -4] for shift in range(3)]
    return [form.lower() for form in (text, text.hex().encode(), *shifted)]


class CanaryIds(UserIds):
    """A user who is made of canaries. Each begins with `word`."""

    def __init__(self, canaries: Canaries, word: str = "") -> None:
        super().__init__("")
        for name in ("user_id", "company_id", "anonymous_id", "utm_source", "name", "phone", "value", "agent"):
            setattr(self, name, word + canaries.make(Canary.PERSONAL, f"{word}{name}"))
        self.key = word + canaries.make(Canary.KEY, f"{word}key")
        self.session_token = word + canaries.make(Canary.SECRET, f"{word}session token")
        self.email = f"{word}{canaries.make(Canary.PERSONAL, f'{word}email')}@acme.com"
        self.ip_address = canaries.address(f"{word}ip address")

    def update(self) -> UserUpdate:
        update = super().update()
        own = vars(self)
        update.ip_address, update.user_agent_string = self.ip_address, own["agent"]
        names = {"first_name": own["name"], "phone": own["phone"]}
        update.metadata.update(names | {self.key: {"deep": [own["value"]]}})
        return update
