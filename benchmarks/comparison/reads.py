"""Reads among all users of one application: their number, a report of campaigns, who was modified last, suggestions."""

import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Final

import grpc
from userfold.v1 import campaign_service_pb2, user_service_pb2
from userfold.v1.campaign_service_pb2_grpc import CampaignServiceStub
from userfold.v1.user_service_pb2_grpc import UserServiceStub

from benchmarks.comparison.growth import Grown
from benchmarks.comparison.steps import Bench, Step
from benchmarks.environment.processes import BenchmarkFailed
from benchmarks.runs import Sample, cpu_of
from server.mongo.declared_indexes import index_options
from server.query.declared_paths import MODIFIED_TIME, index_keys

_SECONDS = 60
_CALLS = 3

PREFIXES: Final[Mapping[str, int | None]] = {"suggest-1": 1, "suggest-3": 3, "suggest": None}
"""The characters of a user id for which users are suggested. None: the whole id."""

Call = Callable[[grpc.Channel, Any], int]
"""Makes one call with this metadata, and returns how many users its response is about."""


def reads(bench: Bench) -> Sequence[Step]:
    """Each read with a tenth of many and with many profiles stored, by one caller."""
    grown = {"tenth": bench.grown(bench.many // 10), "many": bench.grown(bench.many)}
    calls: dict[str, Call] = {"count": _count, "report": _report, "modified": _modified}
    return [
        *(_step(bench, each, name, size, call) for name, call in calls.items() for size, each in grown.items()),
        *(_suggestions(bench, each, name, size) for name in PREFIXES for size, each in grown.items()),
    ]


def _step(bench: Bench, grown: Grown, name: str, size: str, call: Call) -> Step:
    def run(_: int) -> Sample:
        metadata = [(key.lower(), value) for key, value in grown.userfold.reading.items()]
        seconds: list[float] = []
        with grpc.insecure_channel(grown.target) as channel, _declared(grown) if name == "modified" else nullcontext():
            expected = min(100, len(grown.ids)) if name == "modified" else len(grown.ids)
            with cpu_of(bench.stack, grown.userfold.services[:1]) as cpu:
                while len(seconds) < _CALLS or sum(seconds) < bench.seconds:
                    started = time.perf_counter()
                    users = call(channel, metadata)
                    seconds.append(time.perf_counter() - started)
                    # Some of the last updates of those that stored the profiles may not be among the ids.
                    if users < expected:
                        raise BenchmarkFailed(f"{name} found {users} of {expected} users")
        milliseconds = [round(1000 * each, 3) for each in seconds]
        p50 = statistics.median(milliseconds)
        return Sample(round(1000 / p50, 2), p50, max(milliseconds), cpu(len(seconds)))

    return Step(f"reads-{name}/{size}", run)


def _suggestions(bench: Bench, grown: Grown, name: str, size: str) -> Step:
    """Suggestions for the beginnings of random ids, with which the addresses of the same users begin, too."""

    def run(number: int) -> Sample:
        draw = random.Random(number)  # noqa: S311 - Not a secret.
        metadata = [(key.lower(), value) for key, value in grown.userfold.reading.items()]
        milliseconds: list[float] = []
        with grpc.insecure_channel(grown.target) as channel, cpu_of(bench.stack, grown.userfold.services[:1]) as cpu:
            stub: Any = UserServiceStub(channel)
            ends = time.perf_counter() + bench.seconds
            while (started := time.perf_counter()) < ends or len(milliseconds) < _CALLS:
                user_id = draw.choice(grown.ids)
                request = user_service_pb2.SuggestUsersRequest(text=user_id[: PREFIXES[name]])
                found = stub.SuggestUsers(request, metadata=metadata, timeout=_SECONDS).suggestions
                milliseconds.append(1000 * (time.perf_counter() - started))
                if not found:
                    raise BenchmarkFailed(f"{name}: a stored user is not suggested")
        p50 = statistics.median(milliseconds)
        p99 = statistics.quantiles(milliseconds, n=100)[98]
        return Sample(round(1000 / p50, 2), round(p50, 3), round(p99, 3), cpu(len(milliseconds)))

    return Step(f"reads-{name}/{size}", run)


def _count(channel: grpc.Channel, metadata: Any) -> int:
    request = user_service_pb2.CountUsersRequest()
    return int(UserServiceStub(channel).CountUsers(request, metadata=metadata, timeout=_SECONDS).count)


def _report(channel: grpc.Channel, metadata: Any) -> int:
    request = campaign_service_pb2.ReportCampaignsRequest(value_path="metadata.sales_info.lifetime_value")
    report = CampaignServiceStub(channel).ReportCampaigns(request, metadata=metadata, timeout=_SECONDS)
    return int(report.total.user_count)


def _modified(channel: grpc.Channel, metadata: Any) -> int:
    request = user_service_pb2.ListUsersRequest(order_by="modified_time desc")
    return len(UserServiceStub(channel).ListUsers(request, metadata=metadata, timeout=_SECONDS).users)


@contextmanager
def _declared(grown: Grown) -> Iterator[None]:
    """Have the index of a declared `modified_time`, which would make the updates of other steps slower."""
    profiles = grown.userfold.collection
    first = profiles.find_one({"user_id": {"$exists": True}}) or {}
    options = index_options(first["application_id"], MODIFIED_TIME)
    profiles.create_index(index_keys(MODIFIED_TIME), **options)
    try:
        yield
    finally:
        profiles.drop_index(options["name"])
