"""A mark may declare all that a suite file would: cases, variants, prompt, margins."""

from __future__ import annotations

import pytest

CODE = """\
from pathlib import Path

def good(case):
    with Path(__file__).with_name("asked.txt").open("a") as stream:
        stream.write(case.id + "\\n")
    return case.input.upper()

def poor(case):
    return case.input if int(case.id[1:]) < 30 else case.input.upper()
"""
ALONE = """\
import pytest

CASES = [{"id": f"c{n}", "input": f"say {n}", "tags": ["odd"] * (n % 2)} for n in range(100)]

@pytest.mark.ftgate(
    cases=CASES,
    variants={
        "good": {"provider": "python", "function": "bots:good"},
        "poor": {"provider": "python", "function": "bots:poor"},
    },
    max_drop=0.05,
)
def test_shouts(case, reply):
    assert reply.text.isupper()
"""


@pytest.fixture
def alone(desk):
    desk.path("tests").mkdir()
    desk.path("tests/bots.py").write_text(CODE)
    desk.path("tests/test_alone.py").write_text(ALONE)
    return desk


def asked(desk):
    return desk.path("tests/asked.txt").read_text().split()


def test_cases_and_variants_stand_in_the_mark_at_whose_line_a_case_is_found(alone):
    result = alone.run("-v")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["tests/test_alone.py::test_shouts[[]good] PASSED*", "*::test_shouts[[]poor] FAILED*"]
    )
    assert len(asked(alone)) == 100
    alone.path("tests/test_alone.py").write_text(ALONE.replace("reply.text.isupper()", "{}[1]"))
    result = alone.run("-k", "good")
    result.stdout.fnmatch_lines(['E       on case "c0" (tests/test_alone.py:6)'])


@pytest.mark.parametrize("folder", [".", "tests"])
def test_files_are_found_beside_the_test_and_from_the_root(alone, folder):
    rows = "".join(f'{{"id": "c{n}", "input": "say {n}"}}\n' for n in range(100))
    alone.path(folder).joinpath("said.jsonl").write_text(rows)
    module = ALONE.replace("cases=CASES", 'cases="said.jsonl"')
    alone.path("tests/test_alone.py").write_text(module)

    alone.run().assert_outcomes(passed=1, failed=1)


def test_a_prompt_is_a_file_too(alone, api):
    alone.path("tests/said.md").write_text("Shout.")
    variant = '{"provider": "anthropic", "model": "m", "base_url": "URL"}'.replace("URL", api.url)
    module = ALONE.replace('{"provider": "python", "function": "bots:good"}', variant)
    module = module.replace("max_drop=0.05", 'min=0.5, prompt="said.md"')
    alone.path("tests/test_alone.py").write_text(module)

    alone.run("-k", "good")

    assert {sent["system"] for sent in api.requests} == {"Shout."}


def test_tags_choose_cases_which_are_asked_as_often_as_the_mark_says(alone):
    module = ALONE.replace("max_drop=0.05", 'min=0.5, tags=["odd"], repeats=3')
    alone.path("tests/test_alone.py").write_text(module)

    alone.run()

    assert alone.verdicts()["test_shouts[good]"]["checks"][0]["n"] == 50
    assert len(asked(alone)) == 3 * 50


def test_variants_of_a_suite_are_chosen_by_name_whether_the_suite_gates_them_or_not(desk):
    desk.replies("current")
    desk.replies("strong")
    recorded = "{{provider: recorded, replies: {}.jsonl, gated: {}}}"
    desk.suite_of(
        {
            "current": recorded.format("current", "true"),
            "strong": recorded.format("strong", "false"),
        }
    )
    desk.marked("def test_it(case, reply):\n    pass\n", 'variants="strong"')

    result = desk.run("test_marked.py", "-v")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*::test_it[[]strong] PASSED*"])


def test_two_functions_with_cases_of_their_own_do_not_mix_them(alone):
    other = ALONE.partition("@")[2].replace("test_shouts", "test_other")
    other = other.replace("cases=CASES", "cases=CASES[:60]").replace("max_drop=0.05", "min=0.5")
    alone.path("tests/test_alone.py").write_text(f"{ALONE}\n@{other}")

    alone.run()

    found = alone.verdicts()
    assert found["test_other[good]"]["checks"][0]["n"] == 60
    assert found["test_shouts[poor]"]["checks"][0]["n"] == 100
