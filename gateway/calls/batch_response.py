"""What became of a batch's items, and the answer that names each refused one by its index in the body."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

import orjson
from google.protobuf.descriptor import Descriptor
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status

from gateway.errors import rendering
from gateway.errors.answer import Answer, Refused, refused_from_status
from gateway.errors.violations import MOST, Finding, schema_name
from gateway.upstream.result import outcome_of

REFUSED_BYTES: Final = 1024 * 1024
"""The most that one answer tells of refused items, as JSON. The others are counted."""

_GRAVEST_FIRST = (
    code_pb2.UNAVAILABLE,
    code_pb2.DEADLINE_EXCEEDED,
    code_pb2.INTERNAL,
    code_pb2.UNKNOWN,
    code_pb2.DATA_LOSS,
    code_pb2.CANCELLED,
    code_pb2.RESOURCE_EXHAUSTED,
    code_pb2.ABORTED,
)
"""The codes that are no fault of the caller's, as the code of a whole batch: the first that an item has."""

_WORTH_A_RETRY = (code_pb2.UNAVAILABLE, code_pb2.DEADLINE_EXCEEDED)


class Outcome:
    """What became of the items of the repeated field `name`, which hold `message`. All others are saved or
    suppressed."""

    def __init__(self, name: str, total: int, message: Descriptor) -> None:
        self._name = name
        self._total = total
        self._message = message
        self._room = REFUSED_BYTES
        self._told: list[tuple[int, dict[str, Any]]] = []
        self._kinds: Counter[Refused] = Counter()
        self._codes: set[int] = set()
        self._warnings: list[dict[str, Any]] = []
        self._suppressed = 0

    def refuse(self, index: int, refused: Status) -> None:
        """This item is refused with this Status, whose fields are named from the body."""
        self._kinds[refused_from_status(refused, rendering.http_status(refused.code), self._message)] += 1
        self._codes.add(refused.code)
        if self._room > 0:
            told = {"index": index, "status": rendering.as_json(refused)}
            self._room -= len(orjson.dumps(told))
            self._told.append((index, told))

    def refuse_all(self, indexes: Sequence[int], refused: Status) -> None:
        """These items are refused with the same Status, which names no fields."""
        self._kinds[refused_from_status(refused, rendering.http_status(refused.code), self._message)] += len(indexes)
        self._codes.add(refused.code)
        shown = rendering.as_json(refused)
        size = len(orjson.dumps(shown))
        for index in indexes:
            if self._room <= 0:
                break
            self._room -= size
            self._told.append((index, {"index": index, "status": shown}))

    def refuse_invalid(self, index: int, violations: Sequence[Finding]) -> None:
        """This item breaks these rules."""
        if self._room > 0:
            self.refuse(index, rendering.status_of_item(violations))
        else:
            # There may be as many as the body has bytes: making a Status of each would take ten times as long.
            fields = sorted({schema_name(each.field, self._message) for each in violations})
            self._kinds[Refused("INVALID_REQUEST", 400, tuple(fields))] += 1
            self._codes.add(code_pb2.INVALID_ARGUMENT)

    def warn(self, warnings: Iterable[Finding]) -> None:
        """Warnings of decoding."""
        if len(self._warnings) < MOST:
            self._warnings += map(asdict, warnings)

    def add_result(self, result: Any, indexes: Sequence[int], place: int) -> None:
        """The server's result for one item of an RPC.

        The server names fields by their place in the RPC; they are renamed to their index in the body, which is in
        `indexes`.
        """
        told = outcome_of(result, lambda path: self._renumbered(path, indexes))
        if isinstance(told, rendering.Refusal):
            self.refuse(indexes[place], told.status)
            return
        self._suppressed += "suppressed" in told
        if len(self._warnings) < MOST:
            self._warnings += told.get("warnings", [])

    def answer(self) -> Answer:
        """201 when nothing is refused, else an error that names what is not: 400, or what the gravest failure of the
        server's calls for.
        """
        failed = self._kinds.total()
        saved = self._total - failed - self._suppressed
        counted = {"saved_count": saved}
        if self._suppressed:
            counted["suppressed_count"] = self._suppressed
        warned = {"warnings": self._warnings[:MOST]} if self._warnings else {}
        if not failed:
            return Answer(201, counted | warned)
        whole = rendering.refusal(
            "BATCH_PARTLY_REFUSED",
            refused=failed,
            total=self._total,
            items=self._name,
            rest=self._rest(saved),
        ).status
        if code := next((each for each in _GRAVEST_FIRST if each in self._codes), None):
            whole = rendering.with_code(whole, code, retry_after=1 if code in _WORTH_A_RETRY else None)
        http = rendering.http_status(whole.code)
        refused = [told for _, told in sorted(self._told, key=lambda each: each[0])]
        return Answer(
            http,
            rendering.as_json(whole) | counted | {"failed_count": failed, "refused": refused} | warned,
            rendering.headers_for(http, whole),
            {refused_from_status(whole, http): 1, **self._kinds},
        )

    def _rest(self, saved: int) -> str:
        """What became of the items that are not refused, in words."""
        if self._suppressed:
            return f"; {saved:,} are saved, and {self._suppressed:,} were dropped, as they are suppressed"
        return "; the others are saved" if saved else ""

    def _renumbered(self, path: str, indexes: Sequence[int]) -> str:
        found = re.match(rf"{self._name}\[(\d{{1,9}})\]", path)
        if found is None or int(found[1]) >= len(indexes):
            return path
        return f"{self._name}[{indexes[int(found[1])]}]{path[found.end() :]}"
