"""`userfold config`: every setting, and what it is here."""

import os
from typing import Final

import typer

from cli.output import Json, print_json, print_table
from runtime.settings import SETTINGS, Setting

app = typer.Typer()

_NONE: Final = "none"


@app.command()
def config(as_json: Json = False) -> None:
    """Print every setting: its value here, whether it is set, and what it means. Secrets are not printed."""
    if as_json:
        print_json([_json(setting) for setting in SETTINGS])
        return
    rows = [(each.name, _value(each), "set" if _is_set(each) else "default", each.meaning) for each in SETTINGS]
    print_table(("VARIABLE", "VALUE", "SOURCE", "MEANING"), rows)


def _is_set(setting: Setting) -> bool:
    return bool(os.environ.get(setting.name))


def _value(setting: Setting) -> str | None:
    if setting.secret:
        return "(set)" if _is_set(setting) else "(not set)"
    value = os.environ.get(setting.name) or setting.default
    return None if value == _NONE else value


def _json(setting: Setting) -> dict[str, object]:
    return {
        "name": setting.name,
        "value": None if setting.secret else _value(setting),
        "default": None if setting.default == _NONE else setting.default,
        "is_set": _is_set(setting),
        "is_secret": setting.secret,
        "program": setting.program,
        "meaning": setting.meaning,
    }
