"""What was measured, exactly: programs, packages, machine."""

import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.stack import CACHE, CORES, HERE, NODE, PARSE, PEERS_PYTHON, Stack

_OURS = (
    *("grpcio", "protobuf", "motor", "pymongo", "uvloop", "httptools", "orjson"),
    *("googleapis-common-protos",),
)


def versions(stack: Stack) -> dict[str, Any]:
    """The exact versions of everything that takes part."""
    required = (HERE / "requirements.txt").read_text().split()
    asked = [line.partition("==")[0] for line in required if "==" in line]
    listing = "import json, sys; from importlib.metadata import version; "
    listing += "print(json.dumps({name: version(name) for name in sys.argv[1:]}))"
    peers: dict[str, str] = json.loads(_output([str(PEERS_PYTHON), "-c", listing, *asked]))
    parse = json.loads((PARSE / "node_modules/parse-server/package.json").read_text())
    return {
        "userfold": metadata.version("userfold"),
        "commit": _commit(),
        "python": sys.version.split()[0],
        "mongod": stack.client.server_info()["version"],
        "node": _output([str(NODE), "--version"]).lstrip("v"),
        "wrk": _output(["wrk", "--version"]).split(" ")[1],
        "packages": {name: metadata.version(name) for name in _OURS},
        "peers": {"parse-server": parse["version"], **peers},
    }


def machine() -> dict[str, Any]:
    """The machine that all of it shares."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": model,
        "cores": CORES,
        "memory_gib": round(pages / 2**30, 1),
        "system": platform.platform(),
        "mongod_cache": CACHE,
    }


def _commit() -> str:
    """The commit of the checkout, with a `+` where files differ from it; empty outside one."""
    commit = _output(["git", "-C", str(HERE), "rev-parse", "--short=12", "HEAD"])
    changed = _output(["git", "-C", str(HERE), "status", "--porcelain", "--", "../server", "../gateway", "../protos"])
    return commit + "+" if commit and changed else commit


def _output(command: list[str]) -> str:
    # wrk ends with status 1 when asked for its version.
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""
