"""The catalogue of metadata over HTTP, of users that clients sent."""

from typing import Any

from tests.support.stack import Api


def test_the_catalogue_of_an_application(api: Api) -> None:
    users: list[dict[str, Any]] = [
        {
            "user_id": "1",
            "metadata": {"contact": "john@acmeinc.com", "a.b": {"$set": 24000}, "by": {"mary@acme.com": {}}},
        },
        {"user_id": "2", "metadata": {"contact": 5, "tags": ["x", None], "n": 17870000000001001}},
        {"user_id": "3", "company_id": "c"},
        {"anonymous_id": "v", "metadata": {"visited": True}},
    ]
    assert api.batch(users).json()["saved_count"] == 4
    catalogue = api.client.get("/v1/metadata:catalogue", headers=api.reader).json()
    facts = {name: value for name, value in catalogue.items() if name != "paths"}
    assert facts == {
        "has_more_paths": False,
        "sampled_user_count": 3,
        "is_complete": True,
        "estimated_user_count": 3,
    }
    paths = {each.pop("path"): each for each in catalogue["paths"]}
    assert list(paths) == [
        *('metadata["a.b"]', 'metadata["a.b"]["$set"]', "metadata.by", "metadata.by.*"),
        *("metadata.contact", "metadata.n", "metadata.tags"),
    ]
    assert paths["metadata.contact"] == {
        "has_wildcard": False,
        "sampled_user_count": 2,
        "estimated_user_count": 2,
        "types": [{"type": "number", "count": 1}, {"type": "string", "count": 1}],
        "has_conflict": True,
        "string_shapes": [{"shape": "email_address", "length": 0, "pattern": "", "count": 1}],
        "numbers": {
            **{"integer_count": 1, "negative_count": 0, "zero_count": 0},
            **{"smallest_exponent": 0, "largest_exponent": 0},
        },
        "key_count": 0,
    }
    # An integer that no double holds is stored as its digits.
    assert paths["metadata.n"]["string_shapes"] == [{"shape": "digits", "length": 17, "pattern": "", "count": 1}]
    assert paths["metadata.by.*"]["key_count"] == 1
    # Each path without a wildcard is one of filters.
    for path, described in paths.items():
        if not described["has_wildcard"]:
            found = api.client.get("/v1/users:count", params={"filter": f"{path}:*"}, headers=api.reader).json()
            assert found == {"count": described["sampled_user_count"]}
    assert "acme" not in str(catalogue)


def test_a_catalogue_is_kept_for_a_while(api: Api) -> None:
    api.update({"user_id": "1", "metadata": {"a": 1}})
    first = api.client.get("/v1/metadata:catalogue", headers=api.reader).json()
    api.update({"user_id": "2", "metadata": {"b": 1}})
    assert api.client.get("/v1/metadata:catalogue", headers=api.reader).json() == first
