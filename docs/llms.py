"""The text ``llms.txt`` of the site: the pages of its menu for language models (llmstxt.org).

Each page has its title in the menu, its address, and its first sentence.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_ftgate.settings import DOCS_URL, docs_page

#: Where a sentence ends.
_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z`(\"*])")
_LINK, _IMAGE = re.compile(r"\[([^\]]+)\]\([^)]*\)"), re.compile(r"!\[[^\]]*\]\([^)]*\)")
_CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
#: What is no prose: a title, a row of a table, code, an attribute of the page.
_NO_PROSE = re.compile(r"#|\||    |---|:::")
#: What a point of a list begins with.
_POINT = re.compile(r"\A(?:[-*]|\d+\.) ")


def llms_text(configuration: str, pages: Path) -> str:
    """Return the text for the menu in *configuration*, a TOML text, with the folder of *pages*."""
    project = tomllib.loads(configuration)["project"]
    lines = [f"# {project['site_name']}", "", f"> {project['site_description']}"]
    for title, target in _entries(project["nav"]):
        below = [("", target)] if isinstance(target, str) else [*_below("", target)]
        if not isinstance(target, str):
            lines += ["", f"## {title}", ""]
        elif lines[-1].startswith(">"):
            lines += [""]
        lines += [_line(name or title, page, pages) for name, page in below]
    return "\n".join(lines) + "\n"


def _entries(nav: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    yield from (pair for entry in nav for pair in entry.items())


def _below(group: str, nav: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the pages of a part of the menu; those of a group have its title before theirs."""
    for title, target in _entries(nav):
        if isinstance(target, str):
            yield f"{group}: {title}" if group else title, target
        else:
            yield from _below(title, target)


def _line(title: str, page: str, pages: Path) -> str:
    name = page.removesuffix(".md")
    address = DOCS_URL if name == "index" else docs_page(name)
    return f"- [{title}]({address}): {first_sentence((pages / page).read_text('utf-8'))}"


def first_sentence(text: str) -> str:
    """Return the first sentence of a page in Markdown without links; of a list its first point.

    Raises:
        ValueError: it has none.
    """
    plain = _IMAGE.sub("", _COMMENT.sub("", _CODE.sub("", text)))
    for paragraph in re.split(r"\n\s*\n|\n(?=[-*] )", plain):
        if not paragraph.strip() or _NO_PROSE.match(paragraph.lstrip("\n")):
            continue
        words = _POINT.sub("", " ".join(paragraph.split()), count=1)
        return _END.split(_LINK.sub(r"\1", words).replace("**", ""), maxsplit=1)[0]
    raise ValueError("a page of the menu needs a sentence below its title")
