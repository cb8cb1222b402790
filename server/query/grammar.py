"""Parses filters, the useful part of https://google.aip.dev/160, and lists of paths.

The tree knows nothing of profiles: `users/filter_conditions` gives it a meaning. Nothing here recurses over the
caller's text, so no nesting can exhaust the stack.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args

from server import limits
from server.errors import InvalidRequest, Violation
from server.merge.numbers import stored_double, stored_number
from server.query.quotes import QUOTED, unquoted, wildcard_in

# A word ends at a character that the grammar uses.
_GRAMMAR: Final = rf"""
    filter: [conjunction]
    ?conjunction: disjunction
        | disjunction ("AND"? disjunction)+ -> every
    ?disjunction: term
        | term ("OR" term)+ -> some
    ?term: primary
        | ("NOT" | "-") primary -> negation
    ?primary: comparison
        | "(" conjunction ")"
    comparison: path (OPERATOR | HAS) (QUOTED | WORD)
        | path HAS STAR

    paths: path ("," path)*
    path: NAME ("." (KEY | QUOTED) | "[" QUOTED "]")*

    OPERATOR: "=" | "!=" | "<=" | "<" | ">=" | ">"
    HAS: ":"
    STAR.1: /\*(?![^\s()"'<>=!])/
    NAME: /(?!(?:AND|OR|NOT)(?![A-Za-z0-9_-]))[A-Za-z_][A-Za-z0-9_-]*/
    KEY: /[A-Za-z_][A-Za-z0-9_-]*/
    QUOTED: /{QUOTED}/
    WORD: /(?!(?:AND|OR|NOT)(?![^\s()"'<>=!]))[^\s()"'<>=!]+/
    %ignore /\s+/
"""

# The names of terminals, in the order in which an error lists them.
_NAMES: Final = {
    "NAME": "a field",
    "KEY": "a key",
    "QUOTED": "a string in quotes",
    "WORD": "a value",
    "STAR": "*",
    "DOT": "a dot",
    "LSQB": "[",
    "RSQB": "]",
    "OPERATOR": "a comparison (=, !=, <, <=, >, >=)",
    "HAS": "a colon",
    "COMMA": "a comma",
    "AND": "AND",
    "OR": "OR",
    "NOT": "NOT",
    "MINUS": "-",
    "LPAR": "(",
    "RPAR": ")",
    "$END": "the end",
}

_NUMBER: Final = r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?"
_INTEGER: Final = r"-?(?:0|[1-9]\d*)"
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}


class Anything:
    """The type of ANYTHING, the value of `:*`."""

    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING: Final = Anything()

REASONS: Final = {
    "filter": "INVALID_FILTER",
    "fields": "INVALID_FIELDS",
    "group_by": "INVALID_GROUP_BY",
    "value_path": "INVALID_VALUE_PATH",
}
"""The reason of an invalid text, by the field of the request."""

Literal: TypeAlias = str | float | bool | Anything | None
"""The value of a comparison. It may be an integer that no double holds, which metadata stores as a string."""

Path: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a field. `operator` is one of = != < <= > >= and :. Columns in the text count from 1."""

    path: Path
    operator: str
    value: Literal
    column: int = 0
    value_column: int = 0


@dataclass(frozen=True, slots=True)
class Not:
    """True if `operand` is false."""

    operand: "Filter"


@dataclass(frozen=True, slots=True)
class And:
    """True if all `operands` are."""

    operands: "tuple[Filter, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """True if one of `operands` is."""

    operands: "tuple[Filter, ...]"


Filter: TypeAlias = Comparison | Not | And | Or


@dataclass(frozen=True, slots=True)
class ListedPath:
    """One path of a list. `column` in the text counts from 1."""

    path: Path
    column: int


def parse_filter(text: str) -> Filter | None:
    """The tree of a filter, or None if it is empty. Raises InvalidRequest with the column of the error."""
    if _is_longer(text, limits.FILTER_BYTES):
        raise InvalidRequest([Violation("filter", "TOO_LONG", f"longer than {limits.FILTER_BYTES:,} bytes in UTF-8")])
    part = cast(_Part | None, _parse(text, "filter", "filter"))
    if part is None:
        return None
    if part.levels > limits.FILTER_LEVELS:
        description = f"AND, OR and NOT inside each other, deeper than {limits.FILTER_LEVELS} levels"
        raise InvalidRequest([Violation("filter", "TOO_DEEP", description)])
    return part.tree


def parse_paths(text: str, field: str) -> Sequence[ListedPath]:
    """The paths in a list with commas, at least one. `field` is the field of the request.

    Raises InvalidRequest with the column of the error.
    """
    if _is_longer(text, limits.PATHS_BYTES):
        raise InvalidRequest([Violation(field, "TOO_LONG", f"longer than {limits.PATHS_BYTES:,} bytes in UTF-8")])
    return cast(list[ListedPath], _parse(text, "paths", field))


def _is_longer(text: str, max_bytes: int) -> bool:
    """Whether a text has more bytes in UTF-8. A text that is far too long is not encoded."""
    return len(text) > max_bytes or len(text.encode()) > max_bytes


def refusal(field: str, column: int, description: str) -> InvalidRequest:
    """The exception to raise for an error at a column of the text in `field`, one of REASONS."""
    return InvalidRequest([Violation(field, REASONS[field], f"column {column}: {description}", column=column)])


def _parse(text: str, start: str, field: str) -> object:
    _READER.begin(start, field)
    try:
        return _PARSER.parse(text, start)
    except UnexpectedInput as error:
        column, expected = _position(error, len(text))
    # Outside the handler: the parser's message holds the caller's text.
    raise refusal(field, column, f"expected {_listed(expected)}")


def _position(error: UnexpectedInput, length: int) -> tuple[int, set[str]]:
    """The column of the error, and the terminals that are expected there."""
    if isinstance(error, UnexpectedToken):
        at_end = error.token.type == "$END"
        return (length if at_end else cast(int, error.pos_in_stream)) + 1, set(error.accepts or error.expected)
    allowed = error.allowed if isinstance(error, UnexpectedCharacters) else ()
    return cast(int, error.pos_in_stream) + 1, set(allowed or ())


def _listed(expected: set[str]) -> str:
    names = [name for terminal, name in _NAMES.items() if terminal in expected]
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


@dataclass(frozen=True, slots=True)
class _Part:
    """A parsed part of a filter, and its levels."""

    tree: Filter
    levels: int


class _Reader(Transformer[Token, object]):
    """Builds the tree from the leaves up while the parser runs, and stops it when there are too many paths."""

    def begin(self, start: str, field: str) -> None:
        """Prepare for another text."""
        self._too_many = Violation(field, "TOO_MANY", f"more than {limits.PATHS} fields")
        self._remaining = limits.PATHS
        if start == "filter":
            description = f"more than {limits.FILTER_COMPARISONS} comparisons"
            self._too_many = Violation(field, "TOO_MANY_COMPARISONS", description)
            self._remaining = limits.FILTER_COMPARISONS

    @v_args(inline=True)
    def filter(self, part: _Part | None = None) -> _Part | None:
        return part

    def every(self, children: list[_Part]) -> _Part:
        return _joined(And, children)

    def some(self, children: list[_Part]) -> _Part:
        return _joined(Or, children)

    def negation(self, children: list[_Part]) -> _Part:
        (part,) = children
        if isinstance(part.tree, Not):
            return _Part(part.tree.operand, part.levels - 1)
        return _Part(Not(part.tree), part.levels + 1)

    @v_args(inline=True)
    def comparison(self, path: ListedPath, operator: Token, value: Token) -> _Part:
        return _Part(Comparison(path.path, str(operator), _literal(value), path.column, _column(value)), 0)

    def paths(self, children: list[ListedPath]) -> list[ListedPath]:
        return children

    def path(self, tokens: list[Token]) -> ListedPath:
        self._remaining -= 1
        if self._remaining < 0:
            raise InvalidRequest([self._too_many])
        keys = (unquoted(token) if token.type == "QUOTED" else str(token) for token in tokens)
        return ListedPath(tuple(keys), _column(tokens[0]))


def _joined(kind: type[And] | type[Or], children: list[_Part]) -> _Part:
    operands: list[Filter] = []
    levels = 0
    for part in children:
        if isinstance(part.tree, kind):
            operands += part.tree.operands
            levels = max(levels, part.levels)
        else:
            operands.append(part.tree)
            levels = max(levels, part.levels + 1)
    return _Part(kind(tuple(operands)), levels)


def _literal(token: Token) -> Literal:
    if token.type == "STAR":
        return ANYTHING
    is_quoted = token.type == "QUOTED"
    if "*" in token and (wildcard := wildcard_in(token) if is_quoted else token.index("*")) is not None:
        description = "* is a wildcard in AIP-160, which is not supported: write \\* in quotes for an asterisk"
        raise refusal("filter", _column(token) + wildcard, description)
    if is_quoted:
        return unquoted(token)
    if re.fullmatch(_INTEGER, token, re.ASCII):
        integer = int(token)
        stored = stored_number(integer)
        return integer if isinstance(stored, str) else stored
    if re.fullmatch(_NUMBER, token, re.ASCII):
        if not math.isfinite(number := float(token)):
            raise refusal("filter", _column(token), "expected a number that a double can hold")
        return stored_double(number)
    return _WORDS.get(token, str(token))


def _column(token: Token) -> int:
    return cast(int, token.start_pos) + 1


_READER: Final = _Reader()
_PARSER: Final = Lark(_GRAMMAR, parser="lalr", start=["filter", "paths"], maybe_placeholders=False, transformer=_READER)
