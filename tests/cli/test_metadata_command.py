"""`userfold metadata`."""

import json

from tests.cli.conftest import Userfold
from tests.support.stack import Api


def test_the_paths_are_listed(userfold: Userfold, api: Api) -> None:
    api.update({"user_id": "1", "metadata": {"email": "john@acmeinc.com", "by": {"4711": "AB-1", "4712": "x"}, "n": 1}})
    api.update({"user_id": "2", "metadata": {"n": "12345", "tags": []}})
    run = userfold("metadata")
    assert (run.returncode, run.stderr) == (0, "")
    assert [line.split("  ")[0] for line in run.stdout.splitlines()] == [
        *("PATH", "metadata.by", "metadata.by.*", "metadata.email", "metadata.n", "metadata.tags"),
    ]
    rows = {words[0]: words[1:] for line in run.stdout.splitlines() if (words := line.split())}
    assert rows["metadata.by.*"] == ["1", "string", "2", "code", "AA-9,", "short_text", "2"]
    assert rows["metadata.n"] == ["2", "number", "1,", "string", "1", "(conflict)", "digits", "5", "-"]
    catalogue = json.loads(userfold("metadata", "--json").stdout)
    assert [each["path"] for each in catalogue["paths"]] == [*rows][1:]
    assert catalogue["is_complete"]
