"""docs/errors.md has every reason of an error, with the code and the HTTP status that the programs give it."""

import json
import re

from tests.contract.reasons import error_reasons
from tests.docs.markdown import DOCS, ROOT, table

_PAGE = DOCS / "errors.md"
_SECTIONS = ("The request", "The credential", "Load and availability", "HTTP alone")


def _rows() -> dict[str, list[str]]:
    """The rows of all tables: code and status, what happened, what is stored, whether to send again."""
    text = _PAGE.read_text()
    rows = [row for name in _SECTIONS for row in table(text.split(f"\n## {name}\n")[1], "reason")]
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0].strip("`"): row[1:] for row in rows}


def test_every_reason_is_described() -> None:
    assert set(_rows()) == error_reasons()


def test_the_codes_and_the_http_statuses_are_those_of_the_contract() -> None:
    facts = json.loads((ROOT / "protos" / "contract.json").read_text())["errors"]
    given = {name.split()[0]: f"{fact['code']}, {fact['http']}" for name, fact in facts.items()}
    shown = {reason: row[0] for reason, row in _rows().items() if reason != "UNEXPLAINED"}
    assert shown == given


def test_what_carries_a_delay_may_be_sent_again_and_nothing_else() -> None:
    facts = json.loads((ROOT / "protos" / "contract.json").read_text())["errors"]
    delayed = {name.split()[0] for name, fact in facts.items() if fact["retry_after"] is not None}
    # The delay of RATE_LIMITED is computed.
    assert {reason for reason, row in _rows().items() if row[3].startswith("yes")} == delayed | {"RATE_LIMITED"}


def test_what_is_unknown_is_what_the_text_names() -> None:
    unknown = {reason for reason, row in _rows().items() if row[2] == "unknown"}
    named = re.findall(r"`([A-Z_]+)`", _PAGE.read_text().split("\n## Was something stored?\n")[1].split("\n## ")[0])
    assert unknown - {"UNEXPLAINED"} == set(named) - {"BATCH_PARTLY_REFUSED"}
