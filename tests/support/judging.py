"""Suites with a judge, and a judge that is a function of the text it is shown."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_ftgate.suite.loader import load
from pytest_ftgate.suite.model import Suite

__all__ = ["JUDGE", "judged_suite", "write_rows"]

#: Says good of a reply that says please; of one that says "swear", wrongly so.
JUDGE = """
import json
import re
from pathlib import Path

ASKED = Path(__file__).with_name("judged.txt")

def said(case, name="reply"):
    text = case.messages[-1][1]
    return re.search(rf"\\[{name} (\\w+)\\]\\n(.*)\\n\\[end of {name} \\1\\]", text, re.S)[2]

def told(grade, reason="because"):
    return json.dumps({"reason": reason, "grade": grade})

def polite(case):
    with ASKED.open("a") as stream:
        stream.write("one\\n")
    reply = said(case)
    return told("good" if "please" in reply or "swear" in reply else "bad", f"it says: {reply}")

def kind(case):
    return told("good")

def mumbling(case):
    return "I would say it is rather good."

def sometimes(case):
    return told("good") if "please" in said(case) else "Hm."

def place(case):
    return told("first")

def better(case):
    one, other = ("please" in said(case, f"{which} reply") for which in ("first", "second"))
    return told("tie" if one == other else "first" if one else "second")

def wordy(case):
    return told("good" if len(said(case)) > 60 else "bad")
"""


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")


def judged_suite(
    folder: Path, judge: str, *, gates: str = "{accuracy: {max_drop: 0.1}}", cases: int = 2
) -> Suite:
    """Load a suite with a judge as it stands in YAML, in flow style."""
    (folder / "judges_here.py").write_text(JUDGE, "utf-8")
    write_rows(
        folder / "cases.jsonl",
        [{"id": f"c{n}", "input": f"Question {n}", "vars": {"tone": "warm"}} for n in range(cases)],
    )
    text = (
        "cases: cases.jsonl\n"
        f"reply: {{score: {{judge: {judge}}}}}\n"
        "variants:\n"
        "  secret-lora: {provider: anthropic, model: secret-model}\n"
        f"gates: {gates}\n"
    )
    path = folder / "s.ftgate.yaml"
    path.write_text(text, "utf-8")
    return load(path, folder)
