"""The screen of a pair: what differs, how much of it, and no more than a person may see."""

from __future__ import annotations

import json

import pytest

from pytest_ftgate.gates.pairs import ShownPair
from pytest_ftgate.reporting.label_screen import marked_texts, pair_lines, shown_text, status_text
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


def shown(first, second=None, *, styled=False, whole=False, **case):
    pair = ShownPair(
        draw="d", place=1, key="i", first=first, second=second, instruction="v",
        case=Case(id="p", location="x:1", score=Rule("exact"), **{"input": "Where?", **case}),
    )  # fmt: skip
    return "\n".join(pair_lines(pair, "1 of 2", "Is it right?", styled=styled, whole=whole))


@pytest.mark.parametrize(
    ("first", "second", "marked"),
    [
        ("come on Monday now", "come on Friday now",
         ["come on {+Monday+} now", "come on {+Friday+} now"]),
        ("it came", "it", ["it{+ came+}", "it"]),
        ("late", "lost", ["late", "lost"]),
        ("明日届きます", "明後日届きます", ["明日届きます", "明{+後+}日届きます"]),
        ("a {+b+} c d", "a {+b+} c e", ["a {\\+b+\\} c {+d+}", "a {\\+b+\\} c {+e+}"]),
    ],
)  # fmt: skip
def test_what_differs_stands_between_marks_that_no_reply_can_forge(first, second, marked):
    assert marked_texts(first, second) == marked


def test_json_is_shown_on_lines_and_its_values_are_compared():
    texts = [json.dumps({"days": days, "by": "post"}) for days in (14, 15)]

    assert '"days": {+14+},\n' in marked_texts(*texts)[0]
    assert shown_text("[" * 100_000) == "[" * 100_000


def test_a_terminal_underlines_what_differs_and_leaves_no_line_open():
    words = " ".join(["word"] * 30)
    text = shown(f"{words} {'x ' * 60}end", f"{words} end", styled=True)

    assert "{+" not in text
    for line in text.splitlines():
        assert line.count("\x1b[1;4m") == line.count("\x1b[0m")
    assert text.count("\x1b[1;4m") > 1


def test_a_long_reply_begins_before_the_difference_until_all_is_wanted():
    words = [f"w{n}" for n in range(8_000)]
    other = [*words[:5_000], "other", *words[5_001:]]
    short, whole = (shown(" ".join(words), " ".join(other), whole=one) for one in (False, True))

    assert "{+w5000+}" in short
    assert "{+other+}" in short
    assert len(short.splitlines()) < 60
    assert "m show all of it" in short
    assert "w7999" in whole
    assert "w7999" not in short
    assert "m show all" not in whole


def test_a_conversation_is_shown_with_all_its_turns_and_variables():
    text = shown("ok", input="", messages=(("user", "Hi"), ("user", "Where?")), vars={"id": 7})

    assert "user: Hi" in text
    assert "user: Where?" in text
    assert "id: 7" in text


def test_a_single_reply_has_the_keys_of_a_single_one():
    text = shown("ok")

    assert "1 right   n wrong   s cannot say   e wrong, and type the right" in text
    assert "reply 2" not in text


def test_the_status_says_when_the_gate_may_decide():
    text, far = "9 labelled of 41 that differ", (12, 0.04, 41, 0.74)

    assert status_text(9, 41) == text
    looks = "next look at 12 (an unchanged variant passes in 4 %), last at 41 (74 %)"
    assert status_text(9, 41, far) == f"{text}; {looks}"
    enough = "enough for the next look: quit, and run the gate"
    assert status_text(9, 41, (9, 0.74, 9, 0.74)) == f"{text}; {enough}"
