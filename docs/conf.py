"""How Sphinx builds the site: plain CommonMark in, and pages that request nothing from another host out."""

import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

_ROOT = Path(__file__).parent.parent

project = "Userfold"
version = release = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"]
copyright = "the authors of Userfold"

extensions = ["myst_parser"]
exclude_patterns = ["generator", "examples"]

# Anchors of headings as code hosts make them, so that one link works in both places.
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"Userfold {release}"
html_static_path = ["theme"]
html_css_files = ["userfold.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

_ELSEWHERE = {"changelog": "CHANGELOG.md", "grpc-clients": "protos/README.md"}
"""Pages whose text is another file of the repository, where its own readers look for it."""


def setup(app: Sphinx) -> None:
    app.connect("source-read", _read)


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    if page == "index":
        source[0] += _navigation(source[0])
    elif page in _ELSEWHERE:
        text = (_ROOT / _ELSEWHERE[page]).read_text()
        source[0] = re.sub(r"\]\((?:\.\./)?docs/", "](", text).replace("](../README.md)", "](index.md)")


def _navigation(index: str) -> str:
    """What Sphinx needs for its side bar: the pages that the lists of the index name, below the same headings."""
    parts = []
    for section in index.split("\n## ")[1:]:
        pages = re.findall(r"^- \[(.*?)\]\(([\w/-]+)\.md\)", section, re.MULTILINE)
        entries = [f"{title} <{page}>" for title, page in pages]
        caption = section.splitlines()[0]
        parts.append("\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```", ""]))
    return "\n".join(parts)
