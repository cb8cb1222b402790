"""`userfold config`, and what every command says about unknown variables."""

import json

from runtime.settings import SETTINGS
from tests.cli.conftest import run_userfold


def test_every_setting_is_printed_and_no_secret() -> None:
    variables = {"USERFOLD_REGION": "eu", "USERFOLD_TOKEN": "ufm_secret", "USERFOLD_MONGODB_URI": "mongodb://a:b@c/"}
    run = run_userfold("config", variables=variables)
    assert (run.returncode, run.stderr) == (0, "")
    rows = {line.split()[0]: line for line in run.stdout.splitlines()[1:]}
    assert list(rows) == [setting.name for setting in SETTINGS]
    assert rows["USERFOLD_REGION"].split()[1:3] == ["eu", "set"]
    assert rows["USERFOLD_WORKERS"].split()[1:3] == ["1", "default"]
    assert rows["USERFOLD_TOKEN"].split()[1] == "(set)"
    assert "secret" not in run.stdout
    assert "a:b" not in run.stdout
    parsed = {
        each.pop("name"): each for each in json.loads(run_userfold("config", "--json", variables=variables).stdout)
    }
    assert parsed["USERFOLD_REGION"] == {
        "value": "eu",
        "default": "local",
        "is_set": True,
        "is_secret": False,
        "program": "gateway",
        "meaning": "what `GET /health/probe` returns",
    }
    assert (parsed["USERFOLD_TOKEN"]["value"], parsed["USERFOLD_TOKEN"]["is_set"]) == (None, True)
    assert parsed["USERFOLD_PATH_PREFIX"]["value"] is None


def test_a_mistaken_variable_stops_a_command_and_an_unknown_one_is_a_warning() -> None:
    run = run_userfold("config", variables={"USERFOLD_MONGO_URI": "x"})
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "userfold: USERFOLD_MONGO_URI is no setting of Userfold: did you mean USERFOLD_MONGODB_URI?\n"
    run = run_userfold("config", variables={"USERFOLD_TEAM": "x", "USERFOLD_PORT": "tcp://10.0.0.1:50051"})
    assert (run.returncode, run.stderr) == (0, "userfold: USERFOLD_TEAM is no setting of Userfold, and has no effect\n")
