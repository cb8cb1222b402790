"""Writes docs/reference/, the OpenAPI document, and the measured figures in the pages that quote them.

All of it is committed, so that it can be read on a code host and seen in a review.
"""

from pathlib import Path

from docs.generator.figures import QUOTED, quote
from docs.generator.openapi.document import document, written
from docs.generator.pages import pages

_DOCS = Path(__file__).parent.parent


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


if __name__ == "__main__":
    for name, text in pages().items():
        _write(_DOCS / "reference" / name, text)
    _write(_DOCS.parent / "gateway" / "admin" / "openapi.json", written(document()))
    for name in QUOTED:
        quote(name)
