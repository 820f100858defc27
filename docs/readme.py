"""Give the package a README whose links lead to the site: on PyPI relative ones are dead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

ROOT = Path(__file__).parents[1]
#: Files at the top of the repository that are pages of the site, and a file that PyPI shows.
PAGES = {"CHANGELOG.md": "changelog/", "CONTRIBUTING.md": "", "LICENSE": ""}


def with_addresses(readme: str, site: str) -> str:
    """Return *readme* with a link to a page of *site* in place of each link to a file."""

    def link(match: re.Match[str]) -> str:
        page, section = match["page"], match["section"] or ""
        return f"]({site}{page}/{section})"

    readme = re.sub(r"\]\(docs/(?P<page>[\w/-]+)\.md(?P<section>#[\w-]+)?\)", link, readme)
    for name, page in PAGES.items():
        readme = readme.replace(f"]({name})", f"]({site}{page})")
    return readme


class ReadmeHook(MetadataHookInterface):
    """Sets the description of the package while it is built."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the README to *metadata*, which has the addresses of the project."""
        text = (ROOT / "README.md").read_text("utf-8")
        site = metadata["urls"]["Documentation"]
        text = with_addresses(text, site)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
