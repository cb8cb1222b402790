"""What a load generator in a process of its own prints for the process that started it."""

import json
from collections.abc import Iterable


def print_summary(latencies: Iterable[float], seconds: float, cpu_seconds: float) -> None:
    """Print the number of calls, their latencies, and the time spent, as the JSON of a `Measured`."""
    ordered = sorted(latencies)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
    calls = len(ordered)
    print(
        json.dumps(
            {
                "calls": calls,
                "sent": calls,
                "seconds": seconds,
                "p50_ms": p50,
                "p99_ms": p99,
                "cpu_seconds": cpu_seconds,
            }
        )
    )
