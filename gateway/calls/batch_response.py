"""The outcome of a batch's items, and the answer that names each refused item by its index in the body."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import orjson
from google.protobuf.descriptor import Descriptor
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status

from gateway.errors import rendering
from gateway.errors.answer import Answer, Refused, named_violations, refused_from_status, warned_from_warnings
from gateway.errors.violations import FINDINGS_LIMIT, Finding, schema_name
from gateway.upstream.result import outcome_of

PREVIEWS_BYTES: Final = 8 * 1024 * 1024
"""The limit of what one answer to a dry run lists, as JSON. Further results are only counted."""

REFUSED_BYTES: Final = 1024 * 1024
"""The limit of the refused items that one answer lists, as JSON. Further ones are only counted."""

_GRAVEST_FIRST = (
    code_pb2.UNAVAILABLE,
    code_pb2.DEADLINE_EXCEEDED,
    code_pb2.INTERNAL,
    code_pb2.UNKNOWN,
    code_pb2.DATA_LOSS,
    code_pb2.CANCELLED,
    code_pb2.RESOURCE_EXHAUSTED,
)
"""Codes of failures that are not the caller's. The first that an item has is the code of the whole batch."""

_NO_PREVIEW: Final = "warnings"
"""The member of a response to a dry run that is beside the previews."""

_WORTH_A_RETRY = (code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED)


class Outcome:
    """The outcome of the items of the repeated field `name`, whose type is `message`. All items that are not refused
    are saved or suppressed, or would be in a dry run."""

    def __init__(self, name: str, total: int, message: Descriptor, *, is_dry_run: bool = False) -> None:
        self._name = name
        self._total = total
        self._message = message
        self._room = REFUSED_BYTES
        self._listed: list[tuple[int, dict[str, Any]]] = []
        self._refused: Counter[Refused] = Counter()
        self._codes: set[int] = set()
        self._warnings: list[dict[str, Any]] = []
        self._warned: Counter[tuple[str, str]] = Counter()
        self._suppressed = 0
        self._is_dry_run = is_dry_run
        self._previews: list[orjson.Fragment] = []
        self._room_for_previews = PREVIEWS_BYTES

    def refuse(self, index: int, refused: Status) -> None:
        """Refuse an item with a Status, whose fields are named from the body."""
        self._refused[refused_from_status(refused, rendering.http_status_of(refused.code), self._message)] += 1
        self._codes.add(refused.code)
        if self._room > 0:
            entry = {"index": index, "status": rendering.as_json(refused)}
            self._room -= len(orjson.dumps(entry))
            self._listed.append((index, entry))

    def refuse_all(self, indexes: Sequence[int], refused: Status) -> None:
        """Refuse items with the same Status, which names no fields."""
        self._refused[refused_from_status(refused, rendering.http_status_of(refused.code), self._message)] += len(
            indexes
        )
        self._codes.add(refused.code)
        status = rendering.as_json(refused)
        size = len(orjson.dumps(status))
        for index in indexes:
            if self._room <= 0:
                break
            self._room -= size
            self._listed.append((index, {"index": index, "status": status}))

    def refuse_invalid(self, index: int, violations: Sequence[Finding]) -> None:
        """Refuse an item with these violations."""
        if self._room > 0:
            self.refuse(index, rendering.status_of_item(violations))
        else:
            # There may be nearly as many items as the body has bytes: a Status of each would take much longer.
            named = named_violations([(each.field, each.reason) for each in violations], self._message)
            self._refused[Refused("INVALID_REQUEST", 400, named)] += 1
            self._codes.add(code_pb2.INVALID_ARGUMENT)

    def warn(self, warnings: Sequence[Finding]) -> None:
        """Add the warnings of decoding an item."""
        if warnings:
            self._warned.update([(schema_name(each.field, self._message), each.reason) for each in warnings])
            if len(self._warnings) < FINDINGS_LIMIT:
                self._warnings += map(asdict, warnings)

    def add_result(self, result: Any, indexes: Sequence[int], place: int) -> None:
        """Add the server's result for one item of an RPC.

        The server names fields by their place in the RPC; they are renamed to their index in the body, which is in
        `indexes`.
        """
        outcome = outcome_of(result, lambda path: self._renumbered(path, indexes))
        if isinstance(outcome, rendering.Refusal):
            self.refuse(indexes[place], outcome.status)
            return
        self._suppressed += "suppressed" in outcome
        if self._is_dry_run:
            preview = {name: value for name, value in outcome.items() if name != _NO_PREVIEW}
            self._preview({"index": indexes[place]} | preview)
        if warnings := outcome.get("warnings"):
            self._warned.update(warned_from_warnings(warnings, self._message))
            if len(self._warnings) < FINDINGS_LIMIT:
                self._warnings += warnings

    def _preview(self, entry: dict[str, Any]) -> None:
        if self._room_for_previews > 0:
            encoded = orjson.dumps(entry)
            self._room_for_previews -= len(encoded)
            if self._room_for_previews >= 0:
                self._previews.append(orjson.Fragment(encoded))

    def answer(self) -> Answer:
        """201 where nothing is refused. Else an error that lists what is: with 400, or the status of the gravest
        failure.
        """
        failed = self._refused.total()
        saved = self._total - failed - self._suppressed
        counted = {"saved_count": saved}
        if self._suppressed:
            counted["suppressed_count"] = self._suppressed
        listed: dict[str, Any] = {"warnings": self._warnings[:FINDINGS_LIMIT]} if self._warnings else {}
        if self._previews:
            listed["previews"] = self._previews
        if not failed:
            return Answer(201, counted | listed, warned=self._warned)
        whole = rendering.refusal(
            "BATCH_PARTLY_REFUSED",
            refused=failed,
            total=self._total,
            items=self._name,
            rest=self._rest(saved),
        ).status
        if code := next((each for each in _GRAVEST_FIRST if each in self._codes), None):
            whole = rendering.with_code(whole, code, retry_after=1 if code in _WORTH_A_RETRY else None)
        http_status = rendering.http_status_of(whole.code)
        refused = [entry for _, entry in sorted(self._listed, key=lambda each: each[0])]
        return Answer(
            http_status,
            rendering.as_json(whole) | counted | {"failed_count": failed, "refused": refused} | listed,
            rendering.headers_for(http_status, whole),
            {refused_from_status(whole, http_status): 1, **self._refused},
            self._warned,
        )

    def _rest(self, saved: int) -> str:
        """The outcome of the items that are not refused, in words."""
        if self._is_dry_run:
            return "; this was a dry run"
        if self._suppressed:
            return f"; {saved:,} are saved, and {self._suppressed:,} were dropped, as they are suppressed"
        return "; the others are saved" if saved else ""

    def _renumbered(self, path: str, indexes: Sequence[int]) -> str:
        item = re.match(rf"{self._name}\[(\d{{1,9}})\]", path)
        if item is None or int(item[1]) >= len(indexes):
            return path
        return f"{self._name}[{indexes[int(item[1])]}]{path[item.end() :]}"
