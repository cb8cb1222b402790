"""What is remembered of profiles whose aliases are full."""

import pytest

from server.model import ProfileWrite
from server.mongo.writes import full_aliases
from server.mongo.writes.full_aliases import FullAliases


def _write(profile_id: str, *aliases: bytes) -> ProfileWrite:
    return ProfileWrite(profile_id, {}, {}, aliases, exact=False, leaves=0, size=0)


def test_only_new_aliases_of_full_profiles_exceed() -> None:
    full = FullAliases()
    full.add("a")
    full.stored(_write("a", b"1"))
    full.stored(_write("b", b"1"))
    assert [full.exceeds(_write("a", *aliases)) for aliases in ([], [b"1"], [b"2"], [b"1", b"2"])] == [
        False,
        False,
        True,
        True,
    ]
    assert not full.exceeds(_write("b", b"2"))


def test_the_latest_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_aliases, "_LIMIT", 2)
    full = FullAliases()
    for profile_id in ("a", "b", "a", "c"):
        full.add(profile_id)
    assert [full.exceeds(_write(profile_id, b"1")) for profile_id in "abc"] == [True, False, True]
    for alias in (b"1", b"2", b"1", b"3"):
        full.stored(_write("a", alias))
    assert [full.exceeds(_write("a", alias)) for alias in (b"1", b"2", b"3")] == [False, True, False]
