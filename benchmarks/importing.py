"""`python -m benchmarks.importing`: how long `userfold import` takes for 100,000 users. `make import-speed` runs it.

Server, MongoDB and the import share the machine. Every user must be stored, and 60 seconds are the limit.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.environment.machine import machine
from benchmarks.environment.paths import BUILD, PUBLISHED
from benchmarks.environment.processes import BenchmarkFailed
from benchmarks.environment.versions import commit
from benchmarks.load.users import body_of, update_of
from benchmarks.stack import Stack
from docs.generator.figures import quote

USERS: Final = 100_000
LIMIT_SECONDS: Final = 60.0

_COLUMNS: Final = (
    *("user_id", "company_id", "metadata.email", "metadata.first_name", "metadata.last_name", "metadata.title"),
    *("metadata.sales_info.stage", "metadata.sales_info.lifetime_value:number", "campaign.utm_source"),
)


def main() -> int:
    """Measure, print the table, and write the results to build/, or with --publish to benchmarks/results/.

    Returns 1 where an import took longer than the limit.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.importing", description=__doc__)
    parser.add_argument("--users", type=int, default=USERS, help=f"rows of each file (default: {USERS})")
    parser.add_argument("--publish", action="store_true", help="write the results to benchmarks/results/")
    options = parser.parse_args()
    if options.publish and options.users != USERS:
        parser.error(f"only results of {USERS:,} users can be published")
    BUILD.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="importing-", dir=BUILD))
    checkout = commit()
    try:
        with Stack(directory, peers=False) as stack:
            measured = {name: _measure(stack, name, options.users) for name in ("jsonl", "csv")}
    except BenchmarkFailed as error:
        print(f"benchmark failed: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory)
    results = {"imports": measured, "machine": machine(), "date": time.strftime("%Y-%m-%d"), **checkout}
    output = PUBLISHED if options.publish else BUILD
    (output / "importing.json").write_text(json.dumps(results, indent=1) + "\n")
    (output / "importing.md").write_text(markdown(results))
    if options.publish:
        quote("importing.md")
    print(markdown(results))
    return 0 if all(each["seconds"] < LIMIT_SECONDS for each in measured.values()) else 1


def markdown(results: Mapping[str, Any]) -> str:
    """The results as a table, with where they were measured."""
    lines = [
        "| file | size | users | time | users a second |",
        "| --- | --- | --- | --- | --- |",
    ]
    names = {"jsonl": "JSON Lines", "csv": "CSV"}
    for name, each in results["imports"].items():
        lines.append(
            f"| {names[name]} | {each['bytes'] / 1e6:.0f} MB | {each['users']:,} | {each['seconds']:.1f} s"
            f" | {each['users'] / each['seconds']:,.0f} |"
        )
    where = results["machine"]
    lines += ["", f"{where['cpu']}, {where['cores']} cores, {where['memory_gib']} GiB, {results['date']}.", ""]
    return "\n".join(lines)


def _measure(stack: Stack, kind: str, users: int) -> dict[str, Any]:
    """Import a file of new users into an application of its own."""
    path = stack.directory / f"users.{kind}"
    with path.open("w") as file:
        file.writelines(rows(kind, users))
    client = stack.new_application(type(stack.userfold), stack.userfold.url, stack.userfold.services, "userfold")
    token = client.reading["Authorization"].removeprefix("Bearer ")
    started = time.perf_counter()
    run = subprocess.run(
        [Path(sys.executable).with_name("userfold"), "import", path, "--json"],
        env={"PATH": "", "USERFOLD_GRPC_ADDRESS": stack.grpc, "USERFOLD_TOKEN": token},
        stdout=subprocess.PIPE,
        check=False,
    )
    seconds = time.perf_counter() - started
    stored = stack.client["userfold"].profiles.count_documents({"user_id": {"$regex": f"^{kind}-"}})
    if run.returncode or stored != users:
        raise BenchmarkFailed(f"exit status {run.returncode}, {stored:,} of {users:,} users are stored")
    return {"users": users, "bytes": path.stat().st_size, "seconds": seconds}


def rows(kind: str, users: int) -> Iterator[str]:
    """The lines of a file of new users, whose ids are `KIND-0`, `KIND-1`, ..., as `jsonl` or as `csv`."""
    ids = (f"{kind}-{number}" for number in range(users))
    if kind == "jsonl":
        yield from (f"{body_of(user_id)}\n" for user_id in ids)
    else:
        yield f"{','.join(_COLUMNS)}\n"
        yield from (f"{','.join(map(str, _cells(user_id)))}\n" for user_id in ids)


def _cells(user_id: str) -> Sequence[Any]:
    update = update_of(user_id)
    metadata, sales = update["metadata"], update["metadata"]["sales_info"]
    named = (metadata[name] for name in ("email", "first_name", "last_name", "title"))
    return (
        *(user_id, update["company_id"], *named, sales["stage"], sales["lifetime_value"]),
        update["campaign"]["utm_source"],
    )


if __name__ == "__main__":
    sys.exit(main())
