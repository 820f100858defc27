"""The faces of a run, and whether each of them says that a broken gate passed."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a run shows of itself; "" for what it does not show.

    Attributes:
        gate, variant: of the gate that is broken.
        test: the name of its test; "" without pytest.
        code: the exit code.
        closing: the closing section.
        record: the run record.
        markdown, page: the report as Markdown and as HTML.
        junit: the JUnit file.
        printed: all that the run printed.
    """

    gate: str
    variant: str = "draft"
    test: str = ""
    code: int
    closing: str = ""
    record: str = ""
    markdown: str = ""
    page: str = ""
    junit: str = ""
    printed: str = ""


def _closing_says_passed(seen: Seen) -> bool:
    return bool(re.search(r"^PASSED\b", seen.closing, re.MULTILINE))


def _record_says_passed(seen: Seen) -> bool:
    run: dict[str, Any] = json.loads(seen.record or "{}")
    mine = (seen.gate, seen.variant)
    verdicts = [one for one in run.get("verdicts", ()) if (one["gate"], one["variant"]) == mine]
    passed = any(one["gated"] and one["outcome"] == "passed" for one in verdicts)
    return passed or run.get("verdict") == "passed"


def _markdown_says_passed(seen: Seen) -> bool:
    heading = re.search(r"^### (🟢|.*\bPASSED\b)", seen.markdown, re.MULTILINE)
    lines = (line.strip("| ").split("|") for line in seen.markdown.splitlines())
    rows = [[cell.strip() for cell in line] for line in lines]
    mine, heads = [seen.variant, seen.gate.replace("_", "&#95;")], list[str]()
    for row in rows:
        heads = row if row[0].startswith("<code>") else heads
        # A row of every number, or one of the matrix of gates and variants.
        if row[:2] == mine and "passed" in row[2:]:
            return True
        others = [name for name in mine if row[0] in mine and name != row[0] and name in heads]
        if any(row[heads.index(name)].startswith("✅") for name in others):
            return True
    return bool(heading)


def _page_says_passed(seen: Seen) -> bool:
    title = re.search(r"<title>PASSED\b|<h1>(<span[^>]*>[^<]*</span>)?Passed</h1>", seen.page)
    rows: list[str] = re.findall(r'<summary class="row">.*?</summary>', seen.page, re.DOTALL)
    mine = (f">{seen.variant}</strong>", f">{seen.gate}</span>", '<span class="badge passed">')
    return bool(title) or any(all(part in row for part in mine) for row in rows)


def _junit_says_passed(seen: Seen) -> bool:
    cases = ET.fromstring(seen.junit).iter("testcase") if seen.junit else ()
    mine = [case for case in cases if case.get("name") == seen.test]
    bad = ("failure", "error", "skipped")
    return bool(mine) and not any(case.find(tag) is not None for case in mine for tag in bad)


#: By face, whether it says that the broken gate, or the whole run, passed.
FACES: dict[str, Callable[[Seen], bool]] = {
    "exit code": lambda seen: seen.code == 0,
    "closing section": _closing_says_passed,
    "run record": _record_says_passed,
    "Markdown": _markdown_says_passed,
    "page": _page_says_passed,
    "JUnit": _junit_says_passed,
}


def faces_that_say_passed(seen: Seen) -> list[str]:
    """Return the faces that say that the broken gate passed."""
    return [name for name, says_passed in FACES.items() if says_passed(seen)]
