"""Which paths can be declared."""

import pytest

from server.errors import PathNotDeclarable
from server.query.declared_paths import declared_path, index_keys, text_of


@pytest.mark.parametrize(
    ("text", "written", "keys"),
    [
        ("modified_time", "modified_time", ("modified_time", "modified_nanos", "_id")),
        ("metadata.a", "metadata.a", ("metadata.a", "created_time", "_id")),
        ('metadata."a.b"["$c"]', 'metadata["a.b"]["$c"]', ("metadata.a%2Eb.%24c", "created_time", "_id")),
        (" campaign.utm_source ", "campaign.utm_source", ("campaign.utm_source", "created_time", "_id")),
        ("email_domain", "email_domain", ("email_domain", "created_time", "_id")),
    ],
)
def test_a_field_of_filters_can_be_declared(text: str, written: str, keys: tuple[str, ...]) -> None:
    path = declared_path(text)
    assert (text_of(path), index_keys(path)) == (written, keys)
    assert declared_path(written) == path


@pytest.mark.parametrize(
    "text",
    [
        *("", "metadata", "aliases", "_id", "application_id", "values", "metadata.a,metadata.b", "metadata.a = 1"),
        *("user_id", "company_id", "created_time", "avatar_url", "ip_address", "alias_count"),
        *(f"metadata{'.a' * 21}", f"metadata.{'a' * 151}", "metadata.$a"),
    ],
)
def test_nothing_else_can_be_declared(text: str) -> None:
    with pytest.raises(PathNotDeclarable):
        declared_path(text)
