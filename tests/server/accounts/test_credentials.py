from datetime import UTC, datetime, timedelta

import pytest

from server.accounts.credentials import StoredCredential, digest, rotate
from server.errors import CredentialReplaced
from server.model import CredentialKind, Scope

_CREATED = datetime(2026, 1, 1, 10, 30, tzinfo=UTC)
_NOW = datetime(2026, 3, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


def _token(expire_time: datetime | None = None) -> StoredCredential:
    scopes = frozenset({Scope.READ_USERS, Scope.DELETE_USERS})
    return StoredCredential(
        digest("old"), "c1", "a1", CredentialKind.MANAGEMENT, "Support", scopes, _CREATED, expire_time
    )


def test_the_successor_of_a_credential_has_the_same_rights() -> None:
    old, new = rotate(_token(), "new", _NOW, _DAY)
    assert (old.expire_time, old.replaced_by) == (_NOW + _DAY, new.credential_id)
    assert (new.digest, new.created_time, new.expire_time) == (digest("new"), _NOW, None)
    for name in ("application_id", "kind", "name", "scopes"):
        assert getattr(new, name) == getattr(old, name)
    assert new.credential_id != old.credential_id
    assert new.replaced_by is None


def test_the_successor_has_the_original_lifetime_and_the_overlap_does_not_extend_the_old_one() -> None:
    end = _NOW + timedelta(hours=1)
    old, new = rotate(_token(end), "new", _NOW, _DAY)
    assert old.expire_time == end
    assert new.expire_time == _NOW + (end - _CREATED)


def test_a_credential_is_rotated_once() -> None:
    old, new = rotate(_token(), "new", _NOW, _DAY)
    with pytest.raises(CredentialReplaced, match=new.credential_id):
        rotate(old, "newer", _NOW, _DAY)


def test_a_credential_never_shows_its_digest() -> None:
    assert "digest" not in repr(_token())
