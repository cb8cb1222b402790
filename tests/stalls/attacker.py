"""The process that sends a row's expensive input: `python -m tests.stalls.attacker ROW`, with `Who` as JSON on stdin.

It prints `ready` when all bytes are made, sends when it is told `go`, and prints what came of each call. With a second
argument it begins anew until its stdin ends.
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
    """Send all of it, and tell what came of each call."""
    waiting = iter(attack.calls)
    told: Counter[str] = Counter()

    async def one_after_another() -> None:
        for call in waiting:
            told[await call.send(channels)] += 1

    await asyncio.gather(*(one_after_another() for _ in range(attack.at_once)))
    return told


async def _run(name: str, *, until_told: bool) -> None:
    who = Who(**json.loads(sys.stdin.readline()))
    row = ROWS[name]
    attack = row.build(who)
    channels = Channels(who)
    # Whatever this program costs from now on is to come last.
    os.nice(19)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    told = await send(attack, channels)
    if until_told:
        stopped = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        while not stopped.done():
            told += await send(attack, channels)
    seconds = time.monotonic() - started
    await channels.close()
    print(json.dumps({"told": told, "seconds": seconds, "own_cpu": time.process_time()}), flush=True)


if __name__ == "__main__":
    asyncio.run(_run(sys.argv[1], until_told=len(sys.argv) > 2))
