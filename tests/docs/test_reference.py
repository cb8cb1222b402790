"""docs/reference/ is what the protos, the contract and the examples say now."""

import pytest

from docs.generator.pages import pages
from tests.docs.markdown import DOCS


def test_the_reference_is_written_from_what_the_protos_say_now() -> None:
    written = {path.name: path.read_text() for path in (DOCS / "reference").iterdir()}
    assert written == pages(), "make docs writes docs/reference/ anew"


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("http-users.md", "**`GET /v1/users/{user_id}`**\n"),
        ("http-users.md", "- **`page_size`** (number): The largest number"),
        ("http-users.md", "200, and a [`User`](messages.md#user) as the body."),
        ("grpc-users.md", "rpc StreamUpdateUsers(stream StreamUpdateUsersRequest)"),
        ("grpc-campaigns.md", "- **`end_time`** (`google.protobuf.Timestamp`): "),
        ("messages.md", "- **`campaign`** (`map<string, string>`): "),
        ("messages.md", "- `oneof outcome`: One of the two is always set.\n  - **`response`** "),
    ],
)
def test_the_reference_says_routes_types_and_comments(page: str, said: str) -> None:
    assert said in pages()[page]
