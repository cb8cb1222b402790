"""The reasons that the programs return: of errors from their tables, of fields from their sources."""

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple, TypeAlias

from gateway.errors.catalogue import OWN, READ_FAILED, UNEXPLAINED
from server.rpc.error_status import ERROR_STATUSES, INTERNAL

ROOT: Final = Path(__file__).parent.parent.parent
_REASON, _DESCRIPTION = "reason", "description"

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class Unreadable(Exception):
    """A reason in the sources is neither a constant nor a parameter. The message has its position."""


class Source(NamedTuple):
    """A module of a program."""

    path: Path
    module: ModuleType
    tree: ast.Module


class _Taker(NamedTuple):
    """A function, method or class with the parameters `reason` and `description`."""

    position: int
    parameters: int
    is_method: bool


def error_reasons() -> frozenset[str]:
    """Every value of `ErrorInfo.reason`."""
    server = {answer.reason for answer in (*ERROR_STATUSES.values(), INTERNAL)}
    return frozenset({*server, *OWN, *(reason for reason, _ in READ_FAILED.values()), UNEXPLAINED})


@cache
def field_reasons() -> Mapping[str, frozenset[str]]:
    """Every reason about a field, with its uses: `violation`, `warning` or both. Raises Unreadable."""
    return reasons_in(list(_sources()))


def reasons_in(sources: Sequence[Source]) -> Mapping[str, frozenset[str]]:
    """The reasons about fields in these sources: the arguments for each parameter `reason` beside a `description`.

    Raises Unreadable.
    """
    takers: dict[str, _Taker] = {}
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef | Function) and (taker := _taker(node)):
                takers[node.name] = taker
    found: dict[str, set[str]] = defaultdict(set)
    for source in sources:
        for role, reason in _given(source, takers):
            found[reason].add(role)
    return {reason: frozenset(roles) for reason, roles in found.items()}


def _sources() -> Iterator[Source]:
    for program in ("server", "gateway"):
        for path in sorted((ROOT / program).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield Source(path.relative_to(ROOT), importlib.import_module(name), ast.parse(path.read_text()))


def _taker(node: ast.ClassDef | Function) -> _Taker | None:
    is_method = False
    if isinstance(node, ast.ClassDef):
        names = [
            each.target.id
            for each in node.body
            # One with a default is given by its name.
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.value is None
        ]
    else:
        names = [each.arg for each in node.args.args]
        is_method = names[:1] == ["self"]
        del names[: int(is_method)]
    return _Taker(names.index(_REASON), len(names), is_method) if {_REASON, _DESCRIPTION} <= set(names) else None


def _given(source: Source, takers: Mapping[str, _Taker]) -> Iterator[tuple[str, str]]:
    """The use and the reason of each call in the source."""
    passing = {
        id(inner)
        for node in ast.walk(source.tree)
        if isinstance(node, Function) and _taker(node)
        for inner in ast.walk(node)
    }
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            if {_REASON, _DESCRIPTION} <= set(keys):
                yield from (("warning", each) for each in _values(source, node.values[keys.index(_REASON)]))
        elif isinstance(node, ast.Call) and (taker := takers.get(name := _name(node.func))):
            if taker.is_method and isinstance(node.func, ast.Name):
                continue  # Another function of the same name.
            role = "warning" if "warn" in name.casefold() else "violation"
            reason, described = _arguments(node, taker)
            is_passed_on = isinstance(reason, ast.Attribute) and reason.attr == _REASON
            is_passed_on |= isinstance(reason, ast.Name) and reason.id == _REASON and id(node) in passing
            if reason is not None and not is_passed_on:
                yield from ((role, each) for each in _values(source, reason, described))


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""


def _arguments(call: ast.Call, taker: _Taker) -> tuple[ast.expr | None, ast.expr | None]:
    """The reason and the description of a call. None if it calls another function of the same name."""
    named = {each.arg: each.value for each in call.keywords}
    if _REASON in named:
        return named[_REASON], named.get(_DESCRIPTION)
    if len(call.args) > taker.position and isinstance(starred := call.args[taker.position], ast.Starred):
        return starred.value, None
    if len(call.args) != taker.parameters:
        return None, None
    return call.args[taker.position], call.args[taker.position + 1]


def _values(source: Source, reason: ast.expr, described: ast.expr | None = None) -> Iterator[str]:
    match reason:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from _values(source, one)
            yield from _values(source, other)
        case ast.Subscript(value=ast.Name(id=table)) if isinstance(found := getattr(source.module, table, None), dict):
            yield from found.values()
        case ast.Name(id=name) if hasattr(source.module, name):
            value = getattr(source.module, name)
            yield value if isinstance(value, str) else value[0]
        case ast.Name(id=name):
            # From a table of descriptions by reason.
            match described:
                case ast.Subscript(value=ast.Name(id=table), slice=ast.Name(id=key)) if key == name:
                    yield from getattr(source.module, table)
                case _:
                    raise Unreadable(f"{source.path}:{reason.lineno}: {ast.unparse(reason)}")
        case _:
            raise Unreadable(f"{source.path}:{reason.lineno}: {ast.unparse(reason)}")
