"""The rate of updates with several worker processes of the server and of the gateway."""

from statistics import median
from typing import Any, Final

from benchmarks.load.users import Load
from benchmarks.runs import BATCH_CONNECTIONS, CONNECTIONS, Sample, over_http, updates_for
from benchmarks.stack import Stack

COUNTS: Final = (1, 2, 4)
_ROUNDS: Final = 3
_SECONDS: Final = 2.0
_KINDS: Final = {"single": (False, CONNECTIONS), "batch": (True, BATCH_CONNECTIONS)}


def workers(stack: Stack) -> list[dict[str, Any]]:
    """For each number of workers and each kind of request, the medians of the rate and of the CPU time per update.

    The first round warms the programs up, and is not counted.
    """
    clients = {count: stack.start_userfold(f"workers{count}", workers=count)[0] for count in COUNTS}
    samples: dict[tuple[int, str], list[Sample]] = {}
    for number in range(_ROUNDS + 1):
        for kind, (batched, connections) in _KINDS.items():
            for count, client in clients.items():
                load = Load(f"{kind}{number}", updates_for(_SECONDS, batched=batched))
                sample = over_http(stack, client, load, batched=batched, connections=connections, seconds=_SECONDS)
                samples.setdefault((count, kind), []).append(sample)
    return [
        {
            "workers": count,
            "kind": kind,
            "rate": median(sample.rate for sample in of_key),
            "cpu_us": {name: median(sample.cpu_us[name] for sample in of_key) for name in of_key[0].cpu_us},
        }
        for (count, kind), (_, *of_key) in samples.items()
    ]
