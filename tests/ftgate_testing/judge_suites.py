"""Suites with a judge, whose grade is a function of the text in its prompt."""

from __future__ import annotations

from pathlib import Path

from ftgate_testing.answer_files import write_rows
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Suite

__all__ = ["JUDGE", "suite_with_judge", "write_rows"]

#: Grades a reply with "please" as good; also one with "swear", which is wrong.
JUDGE = """
import json
import re
from pathlib import Path

ASKED = Path(__file__).with_name("judged.txt")

def reply_in(case, name="reply"):
    text = case.messages[-1][1]
    return re.search(rf"\\[{name} (\\w+)\\]\\n(.*)\\n\\[end of {name} \\1\\]", text, re.S)[2]

def graded(grade, reason="because"):
    return json.dumps({"reason": reason, "grade": grade})

def polite(case):
    with ASKED.open("a") as stream:
        stream.write("one\\n")
    reply = reply_in(case)
    return graded("good" if "please" in reply or "swear" in reply else "bad", f"it says: {reply}")

def kind(case):
    return graded("good")

def mumbling(case):
    return "I would say it is rather good."

def sometimes(case):
    return graded("good") if "please" in reply_in(case) else "Hm."

def place(case):
    return graded("first")

def better(case):
    first, second = ("please" in reply_in(case, f"{which} reply") for which in ("first", "second"))
    return graded("tie" if first == second else "first" if first else "second")

def wordy(case):
    return graded("good" if len(reply_in(case)) > 60 else "bad")
"""


def suite_with_judge(
    folder: Path, judge: str, *, gates: str = "{accuracy: {max_drop: 0.1}}", cases: int = 2
) -> Suite:
    """Load a suite with a judge, given in YAML flow style."""
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
    return load_suite(path, folder)
