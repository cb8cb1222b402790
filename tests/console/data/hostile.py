"""Users whose values mean harm to a page, or break one that is careless. All of them are accepted."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

SCRIPT: Final = "<script>window.harmed=1</script>"
IMAGE: Final = '<img src="x" onerror="window.harmed=1">'

LONG_TEXT: Final = "0123456789" * 100_000
"""A string of 1 MB."""

LONG_ID: Final = "i" * 512
"""As long as an id may be."""

DEEPEST: Final = 20
"""The levels of metadata, which is the first of them."""

NAMES: Final = ("__proto__", "constructor", "toString", "hasOwnProperty", "length", "", "a.b", "$set", " ", "0", SCRIPT)
"""Keys that mean something to a program, or look like a path."""

IDS: Final = (
    "..",
    ".",
    "a/b",
    "a?b#c",
    "a%2Fb",
    "a b",
    "a+b",
    ":batchDelete",
    "constructor",
    "__proto__",
    '"',
    "'",
    "\\",
)
"""Ids that a link loses, unless it encodes them."""


def hostile_users() -> Sequence[Mapping[str, Any]]:
    """An update of each user. Their ids name what is hostile in them, but for those in which the id is."""
    return [
        {
            "user_id": "hostile-html",
            "company_id": IMAGE,
            "campaign": {"utm_source": SCRIPT, "utm_campaign": IMAGE, "referrer": "javascript:window.harmed=1"},
            "user_agent_string": SCRIPT,
            "metadata": {
                "name": SCRIPT,
                "first_name": IMAGE,
                "email": '"<b>harm</b>"@evil.example',
                "photo_url": "javascript:window.harmed=1",
                "website": "javascript:window.harmed=1",
                IMAGE: {SCRIPT: [IMAGE, SCRIPT]},
                "template": "{{constructor.constructor('window.harmed=1')()}} ${window.harmed=1}",
            },
        },
        {
            "user_id": "hostile-picture",
            "metadata": {"name": "Tracked", "photo_url": "https://evil.example/pixel.png", "email": "eve@evil.example"},
        },
        {"user_id": SCRIPT, "metadata": {"name": "An id of HTML"}},
        {
            "user_id": "hostile-rtl",
            "company_id": "\u202egnp.exe",
            "metadata": {
                "name": "שָׁלוֹם עוֹלָם",
                "title": "مهندس برمجيات",
                "reversed": "\u202eevil\u202c",
                "mixed": "abc שלום 123",
            },
        },
        {
            "user_id": "hostile-emoji-👩‍👩‍👧‍👦",
            "metadata": {"name": "🦊 Fox 🏳️‍🌈", "👍🏽": "e\u0301\u0302\u0303" * 20, "wide": "漢字かな"},
        },
        {
            "user_id": "hostile-nul-\0",
            "metadata": {"name": "a\0b", "controls": "\1\x1b[31m\x7f\u2028\u2029\ufeff", "k\0": 1},
        },
        {"user_id": "hostile-lines", "metadata": {"name": "One\nTwo\r\n\tThree", "blank": " \u00a0\u200b ", "no": ""}},
        {"user_id": "hostile-long-text", "metadata": {"name": "Long", "text": LONG_TEXT}},
        {"user_id": LONG_ID, "company_id": "c" * 512, "metadata": {"name": "n" * 2_000, "k" * 500: 1}},
        {"user_id": "hostile-depth", "metadata": {"name": "Deep", **_nested(DEEPEST)}},
        {"user_id": "hostile-names", "metadata": {"inner": dict.fromkeys(NAMES, 1), **dict.fromkeys(NAMES, "own")}},
        {
            "user_id": "hostile-numbers",
            "metadata": {
                **{"large": 1.7976931348623157e308, "small": 5e-324, "zero": -0.0, "third": 0.1 + 0.2},
                **{"safe": 2**53 - 1, "beyond": 2**53 + 1, "yes": True, "no": False},
                **{"empty": {}, "none": [], "nulls": [None, [], {}, [[None]]]},
            },
        },
        {"user_id": "hostile-width", "metadata": {f"key_{number:03}": number for number in range(900)}},
        {"user_id": "hostile-list", "metadata": {"items": list(range(9_000))}},
        *({"user_id": user_id, "metadata": {"name": f"The id {user_id}"}} for user_id in IDS),
    ]


def hostile_profiles(key: str) -> Sequence[Mapping[str, Any]]:
    """An update of each company, or visitor, that means harm: those of users with short values, by this key."""
    small = [user for user in hostile_users() if len(str(user)) < 10_000]
    return [
        {key: user["user_id"], **{name: value for name, value in user.items() if name not in ("user_id", "company_id")}}
        for user in small
    ]


def _nested(levels: int) -> dict[str, Any]:
    """Metadata of so many levels."""
    inner: dict[str, Any] = {"deepest": True}
    for level in range(levels - 1, 0, -1):
        inner = {f"level_{level}": inner}
    return inner
