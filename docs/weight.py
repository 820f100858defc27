"""The weight of each room of the package: lines of code, and the table that limits them.

A line of code holds code: a blank line, a comment and a docstring do not count, so that nobody
deletes documentation to fit.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).parent
PACKAGE = DOCS.parent / "pytest_ftgate"
PAGE = DOCS / "weight.md"
#: A room may have this many lines less than its row says.
SLACK = 100
_ROW = re.compile(
    r"^\| `(?P<room>[\w/]+)` \| (?P<lines>[\d,]+) \| (?P<reason>.+?) \|$", re.MULTILINE
)
_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


class Row(NamedTuple):
    """The limit of one room, and why it last rose."""

    lines: int
    reason: str


def code_lines(source: str) -> int:
    """Return the number of lines of *source* that hold code."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        named = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if isinstance(node, named) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            lines -= {*range(docstring.lineno, (docstring.end_lineno or 0) + 1)}
    return len(lines)


def weights(package: Path = PACKAGE) -> dict[str, int]:
    """Return the lines of code of each room of *package*; ``root`` is its own modules."""
    found: dict[str, int] = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).parts
        room = parts[0] if len(parts) > 1 else "root"
        found[room] = found.get(room, 0) + code_lines(path.read_text("utf-8"))
    return found


def rows(page: str) -> dict[str, Row]:
    """Return the rows of the table in *page*, by room."""
    return {
        found["room"]: Row(int(found["lines"].replace(",", "")), found["reason"])
        for found in _ROW.finditer(page)
    }


def problems(found: Mapping[str, int], limits: Mapping[str, Row]) -> list[str]:
    """Return what is wrong with a package of the weights *found*, each with its remedy."""
    wrong = [f"docs/weight.md has no row of {room}" for room in found.keys() - limits.keys()]
    wrong += [f"docs/weight.md has a row of {room}" for room in limits.keys() - found.keys()]
    for room in sorted(found.keys() & limits.keys()):
        lines, limit = found[room], limits[room].lines
        if lines > limit:
            wrong.append(
                f"{room} has {lines:,} lines of code, {lines - limit} above its row: delete some, "
                "or raise the row in docs/weight.md and write why"
            )
        elif lines < limit - SLACK:
            wrong.append(
                f"{room} has {lines:,} lines of code, {limit - lines} below its row: lower it with "
                "python docs/site.py weight"
            )
    return wrong


def lowered(page: str, found: Mapping[str, int]) -> str:
    """Return *page* with each row lowered to the room's weight; no row is raised."""

    def row(match: re.Match[str]) -> str:
        limit = int(match["lines"].replace(",", ""))
        lines = min(limit, found.get(match["room"], limit))
        return f"| `{match['room']}` | {lines:,} | {match['reason']} |"

    return _ROW.sub(row, page)
