"""What docs/pytest.md shows works as it stands there."""

from __future__ import annotations

import re

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.pages import assert_shows, page

PAGE = page("pytest")
#: Remembers the order, as the page's example of a conversation wants.
TALKS = "def answer(case):\n    return ' '.join(text for _, text in case.messages) or case.input\n"


def block(holding):
    """Return the code block of the page in which *holding* stands."""
    found = [one for one in re.findall(r"```\w*\n(.*?)```", PAGE, re.DOTALL) if holding in one]
    assert len(found) == 1, holding
    return found[0]


@pytest.fixture
def desk(pytester, monkeypatch):
    """Write the suites that the page's examples name."""
    monkeypatch.setenv("COLUMNS", "80")
    labels = ("billing", "refund")
    cases = [
        {"id": f"t{n:03}", "input": f"Ticket {n}: help", "expected": labels[n % 2]}
        | {"vars": {"order": f"o{n}"}}
        for n in range(100)
    ]
    prompts = pytester.mkdir("prompts")
    pytester.mkdir("tests")
    said = {"current": 2, "worse": 30, "lora-v7": 0}
    for name, wrong in said.items():
        rows = [
            {"id": case["id"], "text": "We will refund you" if n < wrong else case["expected"]}
            for n, case in enumerate(cases)
        ]
        write_rows(prompts / f"{name}.jsonl", rows)
    write_rows(prompts / "tickets.cases.jsonl", cases)
    variants = [f"  {name}: {{provider: recorded, replies: {name}.jsonl}}" for name in said]
    head = "cases: tickets.cases.jsonl\n"
    (prompts / "tickets.ftgate.yaml").write_text(
        "\n".join([f"{head}variants:", *variants, "gates: {accuracy: {max_drop: 0.1}}"])
    )
    (prompts / "bots.py").write_text(TALKS)
    talking = 'variants: {current: {provider: python, function: "bots:answer"}}\n'
    (prompts / "support.ftgate.yaml").write_text(f"{head}{talking}gates: {{accuracy: {{min: 0}}}}")
    return pytester


def test_the_first_example_prints_what_the_page_says(desk):
    (desk.path / "tests" / "test_tone.py").write_text(block("# tests/test_tone.py"))
    typed, _, printed = block("$ pytest --ftgate tests/test_tone.py -v").partition("\n")

    result = desk.runpytest_inprocess(
        *typed.split()[2:], "--ftgate-variant=current", "--ftgate-variant=worse"
    )

    assert_shows(result, printed)


def test_the_conversation_and_the_fixture_work_as_they_stand(desk):
    for name in ("test_remembers_the_order", "test_the_new_prompt_is_no_slower"):
        (desk.path / "tests" / f"{name}.py").write_text("import pytest\n\n" + block(f"def {name}"))

    desk.runpytest_inprocess("--ftgate", "tests").assert_outcomes(passed=2)


def test_the_mark_that_needs_no_suite_is_collected(desk):
    module = "import pytest\n\n" + block("def test_is_even")
    (desk.path / "tests" / "test_even.py").write_text(module)

    result = desk.runpytest_inprocess("--ftgate", "tests", "--collect-only", "-q")

    result.stdout.fnmatch_lines(["*::test_is_even[[]current]", "*::test_is_even[[]lora-v7]"])


def test_mistakes_are_told_as_the_page_says(desk):
    (desk.path / "tests" / "test_tone.py").write_text(
        "import pytest\n\n@pytest.mark.ftgate('prompts/tickets.ftgate.yaml',\n    max_drop=5,\n"
        "    variants=['curent'],\n)\ndef test_it(case, reply): pass\n"
    )

    result = desk.runpytest_inprocess("--ftgate", "tests")

    result.stdout.fnmatch_lines(block("tests/test_tone.py: 2 errors").splitlines())
