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
    counts = {row[0]: [int(row[at].replace(",", "")) for at in (3, 6)] for row in rows if row[0] in chosen and row[6:]}
    assert counts.keys() == {"kill-primary", "kill-server"}
    for acknowledged, merged in counts.values():
        assert acknowledged > 100
        assert merged > 0
