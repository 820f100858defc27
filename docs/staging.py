"""What the site adds to the pages as the repository has them.

Commands are highlighted, and the screens of a run have the colours that they have in a terminal.
Pages that nobody searches for are left out of the search, which knows the words of search.toml
as well. The settings get the version, and the
address of the repository where the service that builds the site states it.
"""

from __future__ import annotations

import html
import json
import os
import re
import tomllib
from pathlib import Path

DOCS = Path(__file__).parent
#: Pages, and folders of pages, that would stand before those that answer a question.
NOT_SEARCHED = (
    "changelog.md",
    "contributing/",
    "reference/run-record.md",
    "reference/python-api.md",
)
#: Programs with which a line of a block begins that is typed.
PROGRAMS = ("pytest", "pytest-ftgate", "pip", "python", "python3", ".venv/bin/", "git")
#: What the lines of a screen begin with, and the class that colours them in screens.css.
COLOURS = {
    ("✗", "BLOCKED", "FAILED", "INVALID", "NOT ACCEPTED", "ERROR"): "failed",
    ("? ", "INCONCLUSIVE", "STOPPED"): "unclear",
    ("✓", "PASSED"): "passed",
}
KEYS = re.compile(r"^( {4})(fix|or|accept|see|where|fell|why\?|e\.g\.)(?= )")


def staged(text: str, page: str) -> str:
    """Return the text of a page as the site has it."""
    text = re.sub(r"^```(\w*)\n(.*?)^```$", _block, text, flags=re.DOTALL | re.MULTILINE)
    return f"---\nsearch:\n  exclude: true\n---\n{text}" if page.startswith(NOT_SEARCHED) else text


def _block(found: re.Match[str]) -> str:
    """Return a block of code with its language, or a screen with the colours of its verdicts."""
    language, text = found.groups()
    if language not in ("", "console"):
        return found[0]
    lines = text.splitlines()
    if not language and all(line.startswith((*PROGRAMS, " ", "#")) for line in lines if line):
        return f"```bash\n{text}```"
    coloured = "\n".join(map(_coloured, lines))
    return f'<div class="highlight"><pre><code>{coloured}</code></pre></div>'


def _coloured(line: str) -> str:
    escaped = html.escape(line, quote=False)
    for starts, name in COLOURS.items():
        if line.startswith(starts):
            return f'<span class="ftgate-{name}">{escaped}</span>'
    return KEYS.sub(r'\1<span class="ftgate-key">\2</span>', escaped)


def settings() -> str:
    """Return the settings of the site, with the version and the address of the repository."""
    text = (DOCS / "zensical.toml").read_text("utf-8")
    project = tomllib.loads((DOCS.parent / "pyproject.toml").read_text("utf-8"))["project"]
    changes = f'<a href=\\"{project["urls"]["Changelog"]}\\">{project["version"]}</a>'
    added = f'copyright = "pytest-ftgate {changes}, {project["license"]}"\n'
    repository = os.environ.get("READTHEDOCS_GIT_CLONE_URL", "").removesuffix(".git")
    if repository.startswith("https://"):
        added += f'repo_url = "{repository}"\nedit_uri = "edit/main/docs"\n'
    return text.replace("[project]\n", f"[project]\n{added}", 1)


def searched(index: str) -> str:
    """Return the index of the search, as JSON, with the words of search.toml.

    A section has them as a part of its place in the menu, which counts more than its text. Sections
    of the reference come after pages that explain: a word counts more at the front of a title.

    Raises:
        ValueError: search.toml names a section that the site lacks.
    """
    words: dict[str, str] = tomllib.loads((DOCS / "search.toml").read_text("utf-8"))["words"]
    found = json.loads(index)
    for item in found["items"]:
        if item["location"].startswith("reference/"):
            item["title"] = f"Reference: {item['title']}"
        if more := words.pop(item["location"], ""):
            item["path"].append(more)
    if words:
        raise ValueError(f"search.toml: the site has no {', '.join(words)}")
    return json.dumps(found)
