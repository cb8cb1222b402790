"""Columns of CSV as fields of updates."""

import json
from typing import Any

import pytest

from cli.failures import CommandFailed, ExitStatus
from cli.importing.columns import REFUSED, Others, columns_of
from cli.importing.rows import Refusal


def _object(header: list[str], cells: list[str], mapping: dict[str, str] | None = None, **options: Any) -> Any:
    return columns_of(header, mapping or {}, **options).object(cells)


def test_columns_with_the_names_of_fields_need_no_mapping() -> None:
    named = {
        "User ID": {"user_id": "x"},
        "companyId": {"company_id": "x"},
        "modified-time": {"modified_time": "x"},
        "ip_address": {"ip_address": "x"},
        "SESSION TOKEN": {"session_token": "x"},
        "user_agent_string": {"user_agent_string": "x"},
        "anonymousId": {"anonymous_id": "x"},
        "campaign.utm_source": {"campaign": {"utm_source": "x"}},
        "metadata.plan": {"metadata": {"plan": "x"}},
        "metadata.a.b": {"metadata": {"a": {"b": "x"}}},
        'metadata."a.b c"': {"metadata": {"a.b c": "x"}},
        "Email": {"metadata": {"email": "x"}},
        "first_name": {"metadata": {"first_name": "x"}},
        "phone": {"metadata": {"phone": "x"}},
    }
    for name, expected in named.items():
        header = [name] if name in ("User ID", "anonymousId") else [name, "user_id"]
        assert _object(header, ["x", ""][: len(header)]) == expected, name


def test_columns_of_an_export_that_no_update_has_are_ignored() -> None:
    header = [
        "user_id",
        "created_time",
        "stored_time",
        "alias_count",
        "avatar_url",
        "user_agent.browser.name",
        *REFUSED,
    ]
    assert _object([*header, ""], ["1", *"x" * 10]) == {"user_id": "1"}
    assert _object(["user_id", "observed_ip_address"], ["1", "::1"]) == {"user_id": "1", "observed_ip_address": "::1"}


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("string", " 007 ", " 007 "),
        ("number", "24000", 24000),
        ("number", " -1.5e3 ", -1500.0),
        ("number", "17870000000001001", 17870000000001001),
        ("boolean", "TRUE", True),
        ("boolean", "no", False),
        ("boolean", "1", True),
        ("json", '{"a": [1, null]}', {"a": [1, None]}),
        ("json", "null", None),
        ("time", "2026-01-02 03:04+02:00", "2026-01-02T01:04:00Z"),
    ],
)
def test_a_cell_is_read_by_the_type_of_its_column(kind: str, cell: str, value: Any) -> None:
    for mapping, name in (({"Plan": f"metadata.plan:{kind}"}, "Plan"), ({}, f"metadata.plan:{kind}")):
        update = _object(["user_id", name], ["1", cell], mapping)
        assert update == {"user_id": "1", "metadata": {"plan": value}}
        assert type(update["metadata"]["plan"]) is type(value)


@pytest.mark.parametrize(
    ("kind", "cell", "reason"),
    [
        *[("number", cell, "NOT_A_NUMBER") for cell in ("x", "007", "1,5", "NaN", "true", '"1"', "1e400", "+1")],
        *[("boolean", cell, "NOT_A_BOOLEAN") for cell in ("2", "ja")],
        *[("json", cell, "NOT_JSON") for cell in ("{", "x", "{} {}")],
        *[("time", cell, "NOT_A_TIME") for cell in ("yesterday", "2026-13-01", "1767322800")],
    ],
)
def test_a_cell_of_another_type_refuses_the_row_with_its_field(kind: str, cell: str, reason: str) -> None:
    refusal = _object(["user_id", f"metadata.plan:{kind}", f"metadata.b:{kind}"], ["1", cell, cell])
    assert isinstance(refusal, Refusal)
    assert [(each.field, each.reason) for each in refusal.fields] == [("metadata.plan", reason), ("metadata.b", reason)]
    assert cell not in str(refusal) or cell in "12x"


def test_an_empty_cell_is_absent() -> None:
    header = ["user_id", "company_id", "metadata.a:number", "metadata.b:json", "campaign.utm_source"]
    assert _object(header, ["1", "", "", "", ""]) == {"user_id": "1"}


def test_the_id_column_and_mappings_win_over_names() -> None:
    assert _object(["user_id", "key"], ["1", "2"], {"user_id": ""}, id_column="key") == {"user_id": "2"}
    assert _object(["id", "email"], ["1", "x"], {"email": "metadata.mail"}, id_column="id") == {
        "user_id": "1",
        "metadata": {"mail": "x"},
    }


def test_other_columns_are_refused_ignored_or_metadata() -> None:
    header, cells = ["user_id", "Job title", "a.b"], ["1", "x", "y"]
    with pytest.raises(CommandFailed, match=r"no fields.*--others metadata.*Job title, a\.b") as failure:
        _object(header, cells)
    assert failure.value.status is ExitStatus.USAGE
    assert _object(header, cells, others=Others.IGNORE) == {"user_id": "1"}
    assert _object(header, cells, others=Others.METADATA) == {
        "user_id": "1",
        "metadata": {"Job title": "x", "a.b": "y"},
    }


def test_whole_objects_are_json() -> None:
    header = ["user_id", "metadata:json", "campaign:json", "initial_campaign:json", "clear_fields"]
    header.append("Metadata operations")
    operations = [{"path": ["a"], "union": ["x"]}]
    cells = ["1", '{"a":1}', '{"utm_source":"x"}', "", '["company_id"]', json.dumps(operations)]
    assert _object(header, cells) == {
        "user_id": "1",
        "metadata": {"a": 1},
        "campaign": {"utm_source": "x"},
        "clear_fields": ["company_id"],
        "metadata_operations": operations,
    }


@pytest.mark.parametrize(
    ("header", "mapping", "error"),
    [
        (["email"], {}, "no column is the user_id"),
        (["user_id"], {"Plan": "metadata.plan"}, "no column has the name Plan"),
        (["user_id", "a", "a"], {"a": ""}, "several columns have the name a"),
        (["user_id", "userId"], {}, "several columns are the field user_id"),
        (["user_id", "a", "b"], {"a": "metadata.x", "b": "metadata.x.y"}, r"whole object of the field metadata\.x\.y"),
        (["user_id", "a"], {"a": "metadata.x:integer"}, "none of the types"),
        (["user_id", "a"], {"a": "plan"}, "no field of an update"),
        (["user_id", "a"], {"a": "created_time"}, "no field of an update"),
        (["user_id", "a"], {"a": "campaign.nothing"}, "no field of an update"),
        (["user_id", "a"], {"a": "metadata.x y"}, "no field of an update"),
        (["user_id", "metadata"], {}, "metadata is an object"),
        (["user_id", "a"], {"a": "campaign"}, "campaign is an object"),
    ],
)
def test_columns_that_cannot_be_used_are_a_usage_error(header: list[str], mapping: dict[str, str], error: str) -> None:
    with pytest.raises(CommandFailed, match=error) as failure:
        columns_of(header, mapping)
    assert failure.value.status is ExitStatus.USAGE
