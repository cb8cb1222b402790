"""Numbers as they are stored: as doubles, or as the digits of an integer that no double holds."""

from typing import Final

_EXACT: Final = 2**53
_INT64: Final = 2**63


def stored_number(number: float) -> int | float | str:
    """A finite JSON number as it is stored, with the value of a double.

    An integer that no double holds is stored as a string of its decimal digits.
    """
    if isinstance(number, int):
        if -_EXACT <= number <= _EXACT:
            return number
        try:
            double = float(number)
        except OverflowError:
            return str(number)
        return stored_double(double) if int(double) == number else str(number)
    return stored_double(number)


def stored_double(double: float) -> int | float:
    """A finite double as it is stored: as an integer if it is one. -0.0 is none."""
    if double.is_integer() and -_INT64 <= double < _INT64 and (double or str(double) == "0.0"):
        return int(double)
    return double
