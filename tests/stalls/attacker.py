"""The process that sends a row's expensive input: `python -m tests.stalls.attacker ROW`, with `Who` as JSON on stdin.

It prints `ready` when all requests are encoded, sends them after the line `go`, and prints the count of each response.
With a second argument it repeats them until another line arrives.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter

from tests.stalls.calls import Attack, Channels, Who
from tests.stalls.rows.table import ROWS


async def send(attack: Attack, channels: Channels) -> Counter[str]:
    """Send every call, and count the responses."""
    remaining = iter(attack.calls)
    answers: Counter[str] = Counter()

    async def send_in_turn() -> None:
        for call in remaining:
            answers[await call.send(channels)] += 1

    await asyncio.gather(*(send_in_turn() for _ in range(attack.concurrency)))
    return answers


async def _run(name: str, *, until_stopped: bool) -> None:
    who = Who(**json.loads(sys.stdin.readline()))
    row = ROWS[name]
    attack = row.build(who)
    channels = Channels(who)
    # From here on, every other process takes precedence.
    os.nice(19)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    answers = await send(attack, channels)
    if until_stopped:
        stopped = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        while not stopped.done():
            answers += await send(attack, channels)
    seconds = time.monotonic() - started
    await channels.close()
    print(json.dumps({"answers": answers, "seconds": seconds, "own_cpu": time.process_time()}), flush=True)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], until_stopped=len(sys.argv) > 2))
