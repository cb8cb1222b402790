"""The updates of one client in another application's flood of batches."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from benchmarks.comparison.steps import Bench, Step
from benchmarks.contenders.clients import Contender, Userfold
from benchmarks.environment.processes import BenchmarkFailed
from benchmarks.load import wrk
from benchmarks.load.frames import write_frames
from benchmarks.load.users import BATCH, Load
from benchmarks.load.wrk import measured_from, raw_request
from benchmarks.runs import Sample, over_http, store_base, updates_for, verify
from benchmarks.stack import Stack

_FLOOD_CONNECTIONS = 32


def fairness(bench: Bench) -> Sequence[Step]:
    """The updates of one connection while 32 connections send batches, in Userfold those of another application."""
    stack, seconds, userfold = bench.stack, bench.seconds, bench.stack.userfold
    other = stack.new_application(Userfold, userfold.url, userfold.services, userfold.collection.database.name)

    def step(contender: Contender, flooding: Contender) -> Step:
        def run(number: int) -> Sample:
            load = Load(f"flooded{number}", updates_for(seconds, batched=False))
            meanwhile = _flood(
                stack, flooding, Load(f"flood{number}", updates_for(seconds + 2, batched=True)), seconds + 2
            )
            sample = over_http(
                stack, contender, load, batched=False, connections=1, seconds=seconds, meanwhile=meanwhile
            )
            # Most of the CPU time was spent on the flood.
            return replace(sample, cpu_us={})

        return Step(f"flooded/{contender.name}", run)

    return [step(userfold, other), step(stack.plain, stack.plain)]


@contextmanager
def _flood(stack: Stack, flooding: Contender, load: Load, seconds: float) -> Iterator[None]:
    """Send batches from 32 connections, starting a second before the block."""
    store_base(flooding, load)
    frames = stack.directory / "flood"
    requests = (raw_request(flooding.url, flooding.headers, flooding.batch(ids)) for ids in load.batches())
    write_frames(requests, frames)
    command = wrk.command(flooding.url, frames, _FLOOD_CONNECTIONS, seconds)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(1)
        yield
        if process.poll() is not None:
            raise BenchmarkFailed("the flood ended before the run that it should disturb")
        output, _ = process.communicate(timeout=60)
    verify(flooding, load, measured_from(output.rstrip().rpartition("\n")[2]), BATCH)
