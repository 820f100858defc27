"""docs/how-to/rag.md, typed as it stands, with a model on loopback that reads the passages."""

from __future__ import annotations

import re

from ftgate_testing.answer_files import write_rows
from ftgate_testing.chat_server import Said
from ftgate_testing.pages import assert_shows, page, run_hosted

PAGE = page("how-to/rag")
ITEMS = (
    *("lamp", "chair", "table", "clock", "mirror", "carpet", "curtain", "shelf", "stool", "desk"),
    *("sofa", "vase", "rug", "bench", "basket", "pillow", "blanket", "kettle", "toaster", "mixer"),
)
#: Questions about an item by their tag; the last one has no answer in the handbook.
FORMS = (
    ("returns", "How long can I return a {}?"),
    ("returns", "Until when may a {} be sent back for a return?"),
    ("complaints", "The {0} came fast, a day after the order. When must a {0} be back?"),
    ("unanswerable", "Who designed the {}?"),
)
UNKNOWN = "I do not know"


def days(number: int) -> str:
    return f"{14 + 7 * number} days"


def answer(request) -> Said:
    """Read the passages as a good model does: quote the days to return what is asked for."""
    text = "\n".join(str(turn["content"]) for turn in request["messages"])
    question = text.rpartition("\n")[2]
    item = next(name for name in ITEMS if f" {name}" in question)
    found = re.search(rf"A {item} can be returned within (\d+ days)", text)
    return Said(f"Within {found[1]}." if found and "Who" not in question else UNKNOWN)


def test_fewer_passages_end_as_the_page_shows(pytester, monkeypatch):
    (suite,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (shown,) = re.findall(r"```console\n\$ .*?\n(.*?)```", PAGE, re.DOTALL)
    (prompt,) = re.findall(r"^prompt: answer.md +# (.*)$", suite, re.MULTILINE)
    (pytester.path / "answer.md").write_text(f"{prompt}\n", "utf-8")
    pytester.mkdir("handbook")
    for number, item in enumerate(ITEMS):
        text = f"# Return of a {item}\n\nA {item} can be returned within {days(number)}.\n\n"
        text += f"# Delivery of a {item}\n\nA {item} comes fast, on the day after the order.\n"
        (pytester.path / "handbook" / f"{item}.md").write_text(text, "utf-8")
    rows = [
        {
            "id": f"{item}-{place}",
            "input": form.format(item),
            "expected": UNKNOWN if tag == "unanswerable" else days(number),
            "tags": [tag],
        }
        for number, item in enumerate(ITEMS)
        for place, (tag, form) in enumerate(FORMS)
    ]
    write_rows(pytester.path / "handbook.cases.jsonl", rows)

    assert_shows(run_hosted(pytester, monkeypatch, "handbook.ftgate.yaml", suite, answer), shown)
