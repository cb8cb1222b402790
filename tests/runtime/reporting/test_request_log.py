"""Which requests have a line of their own."""

from structlog.testing import capture_logs

from runtime.reporting.origin import Origin
from runtime.reporting.request_log import NO_REQUESTS, RequestLog

IDS = [f"r-{number}" for number in range(10_000)]


def test_no_request_has_a_line_unless_that_is_asked_for() -> None:
    assert not NO_REQUESTS.is_on
    assert not any(NO_REQUESTS.has_line(each) for each in IDS)


def test_all_requests_have_one_at_1() -> None:
    assert all(RequestLog(1.0).has_line(each) for each in IDS)


def test_the_request_id_decides_so_that_both_programs_choose_the_same() -> None:
    few, many = ([each for each in IDS if RequestLog(share).has_line(each)] for share in (0.01, 0.5))
    assert 50 < len(few) < 200
    assert 4_700 < len(many) < 5_300
    assert {*few} < {*many}


def test_a_line_has_what_is_known_of_the_request() -> None:
    with capture_logs() as lines:
        RequestLog(1.0).write(Origin("r-1", client_library="lib/1"), http_status=201)
    assert lines == [
        {"event": "request", "log_level": "info", "request_id": "r-1", "client_library": "lib/1", "http_status": 201}
    ]
