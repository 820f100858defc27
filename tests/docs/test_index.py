"""docs/index.md: its screen is what its suite ends with."""

from __future__ import annotations

import re

from ftgate_testing.answer_files import write_rows
from ftgate_testing.chat_server import Said
from ftgate_testing.pages import assert_shows, page, run_hosted

PAGE = page("index")
#: Questions on an order by their label. The new prompt takes the last one for another label.
FORMS = (
    ("delivery", "Where is order {}?"),
    ("login", "I cannot log in to see order {}."),
    ("refund", "Order {} was cancelled. Where is the money?"),
    ("refund", "I sent order {} back. Where is my money?"),
)
PROMPTS = {
    "tickets.md": "Sort the ticket.\nAnswer with one label.\n",
    "tickets-v2.md": "Sort the ticket.\nA parcel that was sent back is a delivery.\n"
    "Answer with one label.\n",
}


def answer(request) -> Said:
    """Sort a ticket as the prompt says."""
    prompt, question = (turn["content"] for turn in request["messages"])
    if "sent back" in prompt and "back." in question:
        return Said("delivery")
    words = {"log in": "login", "money": "refund"}
    return Said(next((label for word, label in words.items() if word in question), "delivery"))


def test_the_suite_of_the_start_page_ends_as_it_shows(pytester, monkeypatch):
    (suite,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (shown,) = re.findall(r"```\n(✗.*?)```", PAGE, re.DOTALL)
    for name, text in PROMPTS.items():
        (pytester.path / name).write_text(text, "utf-8")
    rows = [
        {"id": f"t{number:03}", "input": form.format(4000 + number), "expected": label}
        for number in range(200)
        for place, (label, form) in enumerate(FORMS)
        if place == number % 7 % len(FORMS)
    ]
    write_rows(pytester.path / "tickets.cases.jsonl", rows)

    assert_shows(run_hosted(pytester, monkeypatch, "tickets.ftgate.yaml", suite, answer), shown)
