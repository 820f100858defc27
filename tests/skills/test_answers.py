"""Where in a reply the answer stands, for those who score it and those who end the reply there."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from ftgate_testing.tables import every_row

import pytest_ftgate
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scorers import score_content
from pytest_ftgate.skills.answers import answer_end_of, code_end, sentence_end, stated_answer
from pytest_ftgate.suite.cases import skill_cases

#: A reply up to where its answer ends, and what comes after.
SENTENCES = [
    ("It is Paris.", " That is in France."),
    ("It is Paris!", " It is."),
    ("Paris\n", "\nThe city"),
    ("The sky is blue.", " It is."),
    # What announces, asks or begins to work is no answer.
    ("Sure! Here it is:\nParis.", " It is."),
    ("What is it?\n\nIt is Paris.", " It is."),
    ("To solve this, we add them.\n3 + 4 = 7\n", "So"),
    ("Let's see. It is 7.", " So"),
    ("I'm glad you ask. It is 7.", " So"),
    ("This is a classic puzzle. It is 7.", " So"),
    ("1. There are 3.\n2. There are 4.\nSo there are 7.", " It is"),
    ("I'm sorry for the confusion. It is Paris.", " It is."),
    ("```python\n[1, 2]\n", "```"),
    # Marks that end no sentence.
    ("It was John F. Kennedy.", " He"),
    ("Mr. Brown and Dr. Lim met in St. Louis.", " They"),
    ("It costs 3.50 dollars.", " It"),
    ("A, C, ... It is so.", " It"),
    ('"Jag heter Anna." means "My name is Anna."', " It"),
    ("The letter is K.", " It"),
    ("私は水です。", "はい"),
    ("It is approx. 384,400 km.", " It"),
    ("Es sind ca. 50 km.", " Es"),
    ("Es war z. B. Prof. Lim.", " Er"),
    ("Die Mauer fiel am 9. November 1989.", " Es"),
    ("It was on Nov. 9, 1989.", " It"),
    ("It is No. 5.", " It"),
    # A title or a courtesy is no answer, however it is marked.
    ("**Answer:**\n\n**Paris**\n", "It is"),
    ("# Capital of France\n\nParis\n", "It is"),
    ("**Answer**\nParis\n", "It is"),
    ("| Answer |\n|---|\n| Paris |\n", "It is"),
    ("\\[\n\\boxed{12}\n", "\\]"),
    ("That's a great question! It's Paris.", " It is"),
    ("I'd be happy to help! It's Paris.", " It is"),
    ("Natürlich! Die Antwort ist Paris.", " Es ist"),
    ("¡Claro! Es París.", " Es"),
    # A number at the start is a step if it is 1.
    ("5.", " Each hand has five. All do."),
    ("12.", " The sum is that. Yes."),
    ("No.", " B is false."),
]


@every_row(("answer", "more"), SENTENCES)
def test_an_answer_ends_with_the_first_sentence_that_states_something(answer, more):
    text = answer + more

    assert sentence_end(text) == len(answer)
    assert {sentence_end(text[:n]) for n in range(len(text))} <= {None, len(answer)}
    assert stated_answer(text) == stated_answer(answer)
    assert stated_answer(text).is_whole


@every_row(
    "text",
    [
        "",
        "It is Paris.",
        "It is 3.",
        "Is it Paris? ",
        "Here it is:\n",
        "To find it, we add. ",
        "Mr. B",
    ],
)
def test_an_answer_has_not_ended_where_the_text_may_go_on_with_it(text):
    assert sentence_end(text) is None


#: A reply, what of it is the answer, and what is if the reply broke off at its token limit.
STATED = [
    ("It is Paris. No, Rome.", "It is Paris.", "It is Paris."),
    ("It may be 3. The answer is 4, as shown. Yes.", "4, as shown.", "4, as shown."),
    ("The result is:\n```\n[1]\n```", "[1]", "[1]"),
    ("No, the answer is not Paris.", "No, the answer is not Paris.", "No, the answer is not"),
    ("First it was 3. The answer is", "First it was 3.", "First it was 3."),
    ("The answer is 12", "12", "The answer is"),
    ("It is Paris", "It is Paris", "It is"),
    ("Sure! Par", "Par", ""),
    ("To find it, we add 3 and 4.", "To find it, we add 3 and 4.", ""),
    ("1. Two\n2. Four", "2. Four", ""),
    ("Which one is it?", "", ""),
    ("It is this one:", "", ""),
    ("", "", ""),
]


@every_row(("text", "whole", "cut"), STATED)
def test_the_stated_answer_is_one_sentence_and_the_last_word_before_a_cut_is_none(text, whole, cut):
    assert stated_answer(text).text == whole
    assert stated_answer(text, is_cut=True).text == cut


@every_row(
    ("text", "end"),
    [
        ("```python\nx = 1\n```\nThis", len("```python\nx = 1\n```\n")),
        ("Use ``` so:\n~~~\nx\n~~~\nThis", len("Use ``` so:\n~~~\nx\n~~~\n")),
        ("```python\nx = 1\n```", None),
        ("```python\nx = 1\n```python\n", None),
        ("x = 1\n", None),
    ],
)
def test_code_ends_with_the_line_that_closes_its_block(text, end):
    assert code_end(text) == end


@every_row(
    ("kind", "value", "end"),
    [
        ("python", "pytest_ftgate.scoring.skill_scorers:says", "sentence"),
        ("python", "pytest_ftgate.scoring.skill_scorers:worked", ""),
        ("python", "mine:says", ""),
        ("code", None, "code"),
        ("contains", None, ""),
    ],
)
def test_a_score_tells_with_what_an_answer_ends(kind, value, end):
    assert answer_end_of(kind, value) == end


@cache
def recorded(name):
    path = Path(pytest_ftgate.__file__).parent / "demo" / f"{name}.jsonl"
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return {row["id"]: row for row in rows}


@pytest.mark.parametrize("name", ["base", "lora-narrow", "lora-replay"])
def test_the_end_of_an_answer_stays_where_it_is_when_the_reply_goes_on(name):
    for row in recorded(name).values():
        text = row["text"]
        for find in (sentence_end, code_end):
            ends = {find(text[:n]) for n in range(len(text) + 1)} - {None}
            assert ends <= {find(text)}, text


@pytest.mark.parametrize("name", ["base", "lora-narrow", "lora-replay"])
def test_a_reply_that_was_ended_at_its_answer_scores_as_the_whole_reply(name):
    ended, folder = 0, Path(__file__).parent
    for case in skill_cases(("general-small",)):
        row = recorded(name)[case.id]
        is_sentence = answer_end_of(case.score.kind, case.score.value) == "sentence"
        end = sentence_end(row["text"]) if is_sentence else None
        later = row["text"][end:].casefold()
        if end is None or "answer is" in later:
            continue
        whole = Reply(text=row["text"], stop=row["stop"])
        short = Reply(text=row["text"][:end])
        scores = [score_content(case, reply, folder).value for reply in (whole, short)]
        assert scores[0] == scores[1], case.id
        ended += end < len(row["text"])
    assert ended > 20 or name == "lora-narrow"
