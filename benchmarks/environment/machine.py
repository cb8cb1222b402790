"""The machine that the load generators, MongoDB and all contenders share."""

import os
import platform
from pathlib import Path
from typing import Any, Final

CORES: Final = os.cpu_count() or 1
_MEMORY_BYTES: Final = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
CACHE: Final = f"{max(256, (_MEMORY_BYTES - 2**30) // 2**21)}M"
"""The size of WiredTiger's cache: MongoDB's default, half of the memory beyond 1 GiB. EmbeddedMongod sets less."""


def machine() -> dict[str, Any]:
    """Processor, cores, memory, operating system, and the size of MongoDB's cache."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": CORES,
        "memory_gib": round(_MEMORY_BYTES / 2**30, 1),
        "system": platform.platform(),
        "mongod_cache": CACHE,
    }
