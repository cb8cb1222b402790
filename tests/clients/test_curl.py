"""curl with the commands of the API page, and with other options."""

import gzip
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.clients import profiles
from tests.clients.programs import example, finished, run
from tests.support.stack import Api, Stack

_OBJECT_BYTES: Final = 1024 * 1024  # The limit for the body of a single update.
_MAIN: Final = "https://api.moesif.net"
_KEY: Final = "YOUR_COLLECTOR_APPLICATION_ID"

_JOHN: Final = profiles.profile(
    "12345",
    company_id="67890",
    campaign=profiles.CAMPAIGN,
    metadata=profiles.metadata("john@acmeinc.com", "John", "Doe"),
    alias_count=1,
)
_MARY: Final = profiles.profile(
    "54321",
    company_id="67890",
    campaign=profiles.CAMPAIGN,
    metadata=profiles.metadata("mary@acmeinc.com", "Mary", "Jane"),
    alias_count=1,
)


def _shell(command: str, **curl: str) -> str:
    """The output of a shell command. curl reads its configuration only from this home directory."""
    return run(["bash", "-c", command], HOME="/nonexistent", CURL_HOME=curl.get("home", "/nonexistent"))


def _with_status(tmp_path: Path, command: str) -> tuple[int, Any]:
    """The status and the JSON body of the response to an unchanged curl command."""
    (tmp_path / ".curlrc").write_text('silent\nshow-error\nwrite-out = "\\n%{http_code} %{content_type}"\n')
    body, _, status_and_type = _shell(command, home=str(tmp_path)).rpartition("\n")
    status, content_type = status_and_type.split()
    assert content_type == "application/json"
    return int(status), json.loads(body)


def test_the_pages_example_updates_a_user(stack: Stack, api: Api, tmp_path: Path) -> None:
    command = example("update_user.sh", **{_MAIN: stack.http, _KEY: api.application.collector_key})
    assert _with_status(tmp_path, command) == (201, {})
    assert profiles.returned_profile(api, "12345") == _JOHN


def test_the_pages_example_of_a_batch_uses_another_route_and_is_refused(stack: Stack, api: Api, tmp_path: Path) -> None:
    command = example("update_users_batch.sh", **{_MAIN: stack.http, _KEY: api.application.collector_key})
    status, answer = _with_status(tmp_path, command)
    assert (status, answer["status"], answer["details"][0]["reason"]) == (
        405,
        "UNIMPLEMENTED",
        "USERS_BELONG_ELSEWHERE",
    )
    assert "POST /v1/users/batch" in answer["message"]
    right = command.replace("-X GET", "-X POST").replace("/v1/events/batch", "/v1/users/batch")
    assert _with_status(tmp_path, right) == (201, {"saved_count": 2})
    assert (profiles.returned_profile(api, "12345"), profiles.returned_profile(api, "54321")) == (_JOHN, _MARY)


@pytest.mark.parametrize("options", ["--compressed", "--http1.0", "--tr-encoding", "-H 'Expect:'"])
def test_the_pages_example_works_with_other_options(stack: Stack, api: Api, tmp_path: Path, options: str) -> None:
    command = example("update_user.sh", **{_MAIN: stack.http, _KEY: api.application.collector_key})
    assert _with_status(tmp_path, command.replace("curl ", f"curl {options} ")) == (201, {})
    assert profiles.returned_profile(api, "12345") == _JOHN


def test_a_body_may_be_gzip(stack: Stack, api: Api, tmp_path: Path) -> None:
    page = example("update_user.sh", **{_MAIN: stack.http, _KEY: api.application.collector_key})
    body = page.partition("-d '")[2].partition("'")[0]
    (tmp_path / "body.gz").write_bytes(gzip.compress(body.encode()))
    command = page.replace(f"-d '{body}'", f"--data-binary @{tmp_path}/body.gz -H 'Content-Encoding: gzip'")
    assert _with_status(tmp_path, command) == (201, {})
    assert profiles.returned_profile(api, "12345") == _JOHN


@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"])
@pytest.mark.parametrize(("beyond", "status"), [(0, 201), (1, 413), (2 * _OBJECT_BYTES, 413)])
def test_a_body_of_the_limit_is_accepted_and_a_larger_one_is_refused_with_the_limit(
    stack: Stack, api: Api, tmp_path: Path, expect: str, beyond: int, status: int
) -> None:
    body = _padded({"user_id": "12345", "company_id": "c"}, _OBJECT_BYTES + beyond)
    (tmp_path / "body").write_text(body)
    command = ["curl", "-q", "-sS", "-v", "-X", "POST", f"{stack.http}/v1/users", "--data-binary", f"@{tmp_path}/body"]
    command += ["-H", f"X-Moesif-Application-Id: {api.application.collector_key}", "-H", expect]
    ended = finished([*command, "-w", "\n%{http_code}", "--max-time", "20"])
    assert ended.returncode == 0, ended.stderr
    answer, _, printed_status = ended.stdout.rpartition("\n")
    assert int(printed_status) == status
    if status == 201:
        assert ("100 Continue" in ended.stderr) == (expect != "Expect:")
        assert profiles.returned_profile(api, "12345") == profiles.profile("12345", company_id="c")
    else:
        assert json.loads(answer)["details"][0]["reason"] == "BODY_TOO_LARGE"
        assert f"{_OBJECT_BYTES:,}" in json.loads(answer)["message"]
        assert api.get("12345").status_code == 404


def _padded(user: dict[str, str], size: int) -> str:
    text = json.dumps(user)
    return f"{text[:-1]}{' ' * (size - len(text))}}}"
