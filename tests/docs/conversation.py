"""Runs the examples of a page from top to bottom, as a reader would: one shell, one Python, one stack.

A block of `sh` or `python` is run. A block of `json` or `text` behind it is what it prints. Two things are not compared
exactly: what differs from run to run (times, days, digests, ids, versions), and members that a page does not show, as
in `"…": "…"`.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.docs.markdown import ROOT, Block, blocks, name_of
from tests.support.programs import environment

_RUN: Final = frozenset({"sh", "python"})
_PRINTED: Final = frozenset({"json", "text"})
_LEFT_OUT: Final = "…"
_OF_A_STATUS: Final = "|".join(
    (
        *("used", "queued_count", "groups_in_flight", "recent_group_count", "pending_refusal_count"),
        *("schema_version", "supported_schema_version"),
    )
)
_VARYING: Final = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "A-TIME"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "A-DAY"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "A-DIGEST"),
    (re.compile(r"\buf([cm])_[\w-]{64}"), r"A-SECRET-\1"),
    (re.compile(r'"(application_id|credential_id)": ?"[0-9a-f]{12,16}"'), r'"\1": "AN-ID"'),
    (re.compile(r'"etag": ?"[\w-]{22}"'), '"etag": "AN-ETAG"'),
    # What a status says of this machine, and of what others do meanwhile.
    (re.compile(r'"(version|gateway_version|instance)": ?"[^"]+"'), r'"\1": "A-NAME"'),
    (re.compile(rf'"({_OF_A_STATUS})": ?[0-9.e-]+(?=[,}}\s])'), r'"\1": 0'),
    (re.compile(r"\b(curl|grpc-python)/[0-9.]+"), r"\1/A-VERSION"),
)


@dataclass(frozen=True, slots=True)
class Reader:
    """Someone who follows a page in `folder`, beside a stack with these addresses and the keys of an application.

    `programs` has the program `userfold`. `others` are further parts of examples that are different here, and what they
    are. `variables` are those of the environment that stand for the defaults of the page: the ports of this stack, and
    its data directory.
    """

    folder: Path
    programs: Path
    http: str
    admin: str
    grpc: str
    mongodb: str
    collector_key: str
    management_token: str
    others: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)

    def adapted(self, text: str) -> str:
        """An example with the addresses and keys that this reader has in place of those of the page."""
        for shown, real in (
            ("http://127.0.0.1:8080", self.http),
            ("http://127.0.0.1:8081", self.admin),
            ("127.0.0.1:50051", self.grpc),
            ("mongodb://127.0.0.1:PORT/?directConnection=true", self.mongodb),
            ("MANAGEMENT_TOKEN", self.management_token),
            ("COLLECTOR_KEY", self.collector_key),
            *self.others.items(),
        ):
            text = text.replace(shown, real)
        return text


class Conversation:
    """A shell and a Python that remember what earlier blocks set. `environment` is the shell's."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._names: dict[str, Any] = {"__name__": "__main__"}
        path = os.pathsep.join([str(reader.programs), str(Path(sys.executable).parent), os.environ["PATH"]])
        # The tests of the commands measure their lines in less time.
        self.environment = environment({"PATH": path, **reader.variables})

    def run(self, block: Block) -> str | None:
        """Run a block, and return what it prints; None where it is only `make`. An example that fails raises."""
        text = self._reader.adapted(block.text)
        return self._python(text, block) if block.language == "python" else self._shell(text)

    def _python(self, text: str, block: Block) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(text, f"<line {block.line}>", "exec"), self._names)  # noqa: S102  # The page's own program.
        return printed.getvalue()

    def _shell(self, text: str) -> str | None:
        lines = [line for line in text.splitlines() if not _is_target(line)]
        if not any(lines):
            return None
        after = self._reader.folder / "environment"
        script = "\n".join(["set -aeu", *lines, f"env -0 >{after}"])
        printed = subprocess.run(
            ["bash", "-c", script],
            cwd=self._reader.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert printed.returncode == 0, f"{script}\n{printed.stdout}{printed.stderr}"
        self.environment = dict(each.split("=", 1) for each in after.read_text().split("\0") if each)
        return printed.stdout


def _is_target(line: str) -> bool:
    """Whether a line is `make TARGET`, which other tests run: here, only whether there is such a target."""
    if not (target := re.match(r"make ([a-z-]+)", line)):
        return False
    assert re.search(rf"^{target[1]}:", ROOT.joinpath("Makefile").read_text(), re.MULTILINE), line
    return True


def follow(page: Path, reader: Reader, variables: Mapping[str, str] | None = None) -> int:
    """Run the examples of a page, and compare what they print. Returns how many were run.

    `variables` are those of the shell that the page takes for granted.
    """
    conversation, printed, ran = Conversation(reader), None, 0
    conversation.environment |= variables or {}
    for block in blocks(page):
        place = f"{name_of(page)}:{block.line}"
        if block.language in _RUN:
            printed, ran = conversation.run(block), ran + 1
        elif block.language in _PRINTED and printed is not None:
            assert same(printed, block), f"{place}: printed\n{printed}"
            printed = None
    return ran


def same(printed: str, block: Block) -> bool:
    """Whether an example printed what a page shows."""
    if block.language == "text":
        return _fixed(printed).strip() == _fixed(block.text).strip()
    return _as_shown(json.loads(_fixed(printed)), json.loads(_fixed(block.text)))


def _fixed(text: str) -> str:
    for pattern, name in _VARYING:
        text = pattern.sub(name, text)
    return text


def _as_shown(value: Any, shown: Any) -> bool:
    if isinstance(shown, dict) and isinstance(value, dict):
        if _LEFT_OUT not in shown and value.keys() != shown.keys():
            return False
        return all(
            name in value and _as_shown(value[name], inner) for name, inner in shown.items() if name != _LEFT_OUT
        )
    if isinstance(shown, list) and isinstance(value, list):
        return len(shown) == len(value) and all(map(_as_shown, value, shown))
    return bool(value == shown) and isinstance(value, bool) == isinstance(shown, bool)
