"""A server that is killed under load: what the gateway says of each update, and what is stored."""

import asyncio
import itertools
import json
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx2
from pymongo.database import Database

from server.accounts.credentials import generate_collector_key
from server.local.mongod import EmbeddedMongod
from tests.support.applications import register
from tests.support.programs import free_port
from tests.support.stack import start_gateway, start_server

_DATABASE = "userfold_lost_server"


async def test_nothing_is_stored_of_updates_that_are_refused_as_not_sent(
    mongod: EmbeddedMongod, database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    stored = database.client[_DATABASE]
    key = register(stored, generate_collector_key()).collector_key
    address = {"USERFOLD_GRPC_ADDRESS": f"127.0.0.1:{free_port()}"}
    ids = itertools.count()
    outcomes: defaultdict[str, set[str]] = defaultdict(set)
    has_ended = asyncio.Event()

    async def client(http: httpx2.AsyncClient) -> None:
        while not has_ended.is_set():
            user_id = str(next(ids))
            answer = await http.post("/v1/users", json={"user_id": user_id}, headers={"X-Moesif-Application-Id": key})
            outcome = "STORED" if answer.status_code == 201 else answer.json()["details"][0]["reason"]
            outcomes[outcome].add(user_id)
            # Refusals are cheap: without a pause, they would take the time in which the server starts.
            await asyncio.sleep(0 if outcome == "STORED" else 0.02)

    async def more(outcome: str, number: int = 30) -> None:
        enough = len(outcomes[outcome]) + number
        async with asyncio.timeout(60):
            while len(outcomes[outcome]) < enough:  # noqa: ASYNC110 - The condition depends on another process.
                await asyncio.sleep(0.01)

    log_path = tmp_path / "gateway.log"
    with log_path.open("wb") as log:
        server = start_server(mongod.uri, _DATABASE, address)
        metrics = f"127.0.0.1:{free_port()}"
        gateway = start_gateway(
            address["USERFOLD_GRPC_ADDRESS"], {"USERFOLD_GATEWAY_METRICS_ADDRESS": metrics}, stderr=log
        )
        try:
            async with httpx2.AsyncClient(base_url=gateway.ready["http"], timeout=30) as http:
                clients = [asyncio.ensure_future(client(http)) for _ in range(16)]
                await more("STORED")
                server.process.send_signal(signal.SIGKILL)
                server.stop()
                await more("SERVER_UNAVAILABLE")
                assert (await http.get("/readyz")).json() == {"status": "no server can be reached"}
                async with asyncio.timeout(60):
                    while b"server unavailable" not in log_path.read_bytes():  # noqa: ASYNC110 - As above.
                        await asyncio.sleep(0.01)
                assert "userfold_gateway_ready 0.0\n" in (await http.get(f"http://{metrics}/metrics")).text
                server = start_server(mongod.uri, _DATABASE, address)
                await more("STORED")
                async with asyncio.timeout(60):
                    while b"ready again" not in log_path.read_bytes():  # noqa: ASYNC110 - As above.
                        await asyncio.sleep(0.01)
                assert "userfold_gateway_ready 1.0\n" in (await http.get(f"http://{metrics}/metrics")).text
                has_ended.set()
                await asyncio.gather(*clients)
        finally:
            assert gateway.stop() == 0
            assert server.stop() == 0
    found = {each["user_id"] for each in stored.profiles.find({}, {"user_id": 1})}
    database.client.drop_database(_DATABASE)
    assert outcomes.keys() <= {"STORED", "SERVER_UNAVAILABLE", "WRITE_OUTCOME_UNKNOWN"}
    assert outcomes["STORED"] <= found
    assert not outcomes["SERVER_UNAVAILABLE"] & found
    lines = [json.loads(line) for line in log_path.read_bytes().splitlines() if line.startswith(b"{")]
    events = {line["event"]: line for line in lines}
    assert "ready again" in events
    lost = events["server unavailable"]
    assert (lost["fault"], lost["grpc"]) == ("no server can be reached", address["USERFOLD_GRPC_ADDRESS"])
    assert "connect" in lost["cause"].lower()
