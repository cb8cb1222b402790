"""The exact versions of everything that a benchmark runs."""

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from benchmarks.environment.paths import BENCHMARKS, NODE, PARSE, PEERS_PYTHON, REPOSITORY

_OURS = (
    *("grpcio", "protobuf", "motor", "pymongo", "uvloop", "httptools", "orjson"),
    *("googleapis-common-protos",),
)


def versions(mongod: str) -> dict[str, Any]:
    """The versions of all programs and packages, for a given version of MongoDB."""
    pins = (BENCHMARKS / "requirements.txt").read_text().split()
    names = [pin.partition("==")[0] for pin in pins if "==" in pin]
    script = "import json, sys; from importlib.metadata import version; "
    script += "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    peers: dict[str, str] = json.loads(_output([str(PEERS_PYTHON), "-c", script, *names]))
    parse = json.loads((PARSE / "node_modules/parse-server/package.json").read_text())
    return {
        "userfold": metadata.version("userfold"),
        "python": sys.version.split()[0],
        "mongod": mongod,
        "node": _output([str(NODE), "--version"]).lstrip("v"),
        "wrk": _output(["wrk", "--version"]).split(" ")[1],
        "packages": {name: metadata.version(name) for name in _OURS},
        "peers": {"parse-server": parse["version"], **peers},
    }


def commit() -> dict[str, Any]:
    """The `commit` of the checkout, or an empty string outside of one, and whether its tree was `clean`: without any
    change of a file, apart from results and the pages that quote them."""
    git = ["git", "-C", str(REPOSITORY)]
    found = _output([*git, "rev-parse", "HEAD"])
    changes = _output([*git, "status", "--porcelain", "--", ".", ":!benchmarks/results", ":!docs/*.md"])
    return {"commit": found, "clean": bool(found) and not changes}


def described(results: Mapping[str, Any]) -> str:
    """The commit of results and the state of its tree, before their date. Old results may not have it."""
    if "commit" not in results:
        return ""
    return f"commit {results['commit'][:12]} ({'clean' if results['clean'] else 'changed'} tree), "


def _output(command: list[str]) -> str:
    # `wrk --version` exits with status 1.
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""
