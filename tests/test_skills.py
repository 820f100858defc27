"""The bundled general-skills set: enough of it, all valid, and marked as eval data."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from pytest_ftgate import skills
from pytest_ftgate.suite.cases import skill_cases

CANARY = "pytest-ftgate-canary-0d9f6c1e-5a3b-4d57-9a0e-3c6f6b7f2e18"
#: To copy a text or to use given words, one must be shown them.
SHOWN_ON_PURPOSE = {"text_copying", "instruction_following"}


def general():
    return skill_cases(("general",))


def question(case):
    """Return what is asked, less the passage of a reading case and the turns before the last."""
    return case.shown.partition("\n")[2] if case.skill == "reading" else case.shown


def given_away(case):
    answers = case.expected if isinstance(case.expected, list) else [case.expected]
    words = [re.compile(rf"(?<!\w){re.escape(a)}(?!\w)", re.IGNORECASE) for a in answers]
    shown = [word.search(question(case)) is not None for word in words]
    return all(shown) if case.score.options.get("all") else any(shown)


def test_there_are_at_least_twelve_skills_and_240_cases():
    assert len(skills.known()) >= 12
    assert len(general()) >= 240


def test_every_skill_has_at_least_twenty_cases_under_its_own_name():
    counts = Counter(case.skill for case in general())

    assert set(counts) == set(skills.known())
    assert min(counts.values()) >= 20


@pytest.mark.parametrize("name", skills.known())
def test_every_row_of_a_skill_is_a_valid_case(name):
    (path,) = skills.files([name])
    rows = path.read_text(encoding="utf-8").splitlines()

    assert len(skill_cases((name,))) == len(rows) - 1


@pytest.mark.parametrize("name", skills.known())
def test_every_file_says_in_its_first_row_that_it_is_no_training_data(name):
    (path,) = skills.files([name])
    first = json.loads(path.read_text(encoding="utf-8").partition("\n")[0])

    assert first["canary"] == CANARY
    assert "never training data" in first["about"]


def test_ids_are_unique_across_all_skills():
    counts = Counter(case.id for name in skills.known() for case in skill_cases((name,)))

    assert [name for name, count in counts.items() if count > 1] == []


def test_no_question_is_asked_twice():
    counts = Counter((case.messages, case.input) for case in general())

    assert [asked for asked, count in counts.items() if count > 1] == []


def test_every_case_expects_something_of_a_short_reply():
    assert [case.id for case in general() if case.expected is None] == []
    assert [case.id for case in general() if (case.max_tokens or 0) > 128] == []


def test_no_question_gives_its_own_answer_away():
    asked = [c for c in general() if c.score.kind == "contains" and c.skill not in SHOWN_ON_PURPOSE]

    assert len(asked) > 100
    assert [case.id for case in asked if given_away(case)] == []


def test_an_empty_reply_matches_no_pattern():
    patterns = [case for case in general() if case.score.kind == "regex"]
    matched = {
        case.id
        for case in patterns
        for pattern in (case.expected if isinstance(case.expected, list) else [case.expected])
        if re.search(pattern, "")
    }

    assert len(patterns) > 100
    assert matched == set()


def test_a_set_holds_every_skill():
    assert skills.files(["general"]) == skills.files(skills.known())


def test_a_skill_named_twice_is_asked_once():
    assert len(skills.files(["counting", "counting"])) == 1


@pytest.mark.parametrize("names", [["nonsense"], ["counting", "nonsense"], ["general", "nonsense"]])
def test_a_name_that_is_no_skill_is_refused_by_name(names):
    with pytest.raises(KeyError, match="nonsense"):
        skills.files(names)
