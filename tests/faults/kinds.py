"""All kinds of clients, in the numbers in which they run."""

from collections.abc import Sequence

from tests.faults.clients import Client, GrpcBatch, GrpcSingle, GrpcStream, HttpBatch, HttpSingle, Traffic
from tests.faults.conditional_clients import Conditional
from tests.faults.identifying_clients import Identifying
from tests.faults.merging_clients import Merging
from tests.support.applications import Application


def clients_of(applications: Sequence[Application], traffic: Traffic, factor: int = 1) -> Sequence[Client]:
    """Clients of every kind, distributed equally over the applications, gateways and servers."""
    numbers = {
        HttpSingle: 16,
        HttpBatch: 4,
        GrpcSingle: 16,
        GrpcBatch: 4,
        GrpcStream: 4,
        Conditional: 8,
        Identifying: 8,
        Merging: 8,
    }
    return [
        kind(number, applications[number // 2 % len(applications)], traffic)
        for kind, count in numbers.items()
        for number in range(count * factor)
    ]
