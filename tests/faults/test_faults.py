"""The short part of `make faults`: two faults, and one seeded bug."""

import subprocess
import sys

import pytest

from tests.support.programs import environment

pytestmark = pytest.mark.long


def test_no_acknowledged_update_is_lost_and_the_checker_finds_a_seeded_bug() -> None:
    chosen = "seeded-wrong-application,kill-primary,kill-server"
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--only", chosen, "--seconds", "0.3"],
        env=environment({"PYTHONWARNINGS": ""}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    rows = [line.strip("| ").split(" | ") for line in ended.stdout.splitlines()]
    acknowledged = {row[0]: int(row[3].replace(",", "")) for row in rows if row[0] in chosen and len(row) > 3}
    assert acknowledged.keys() == {"kill-primary", "kill-server"}
    assert min(acknowledged.values()) > 100
