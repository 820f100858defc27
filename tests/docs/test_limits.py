"""docs/how-to/limits.md: each edit that it names does to a gate what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.pages import page

from pytest_ftgate.cli.main import main
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.results.run import read_run

PAGE = page("how-to/limits")
SUITE = "s.ftgate.yaml"
LABELS = ("billing", "refund")


def row(start: str) -> str:
    """Return the row of a table of the page that *start* begins."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {start}"))
    return line


def edits(start: str) -> list[str]:
    """Return the code in a row of the page."""
    return re.findall(r"`(.+?)`", row(start))


@pytest.fixture
def folder(pytester, monkeypatch) -> Path:
    monkeypatch.setenv("COLUMNS", "80")
    return pytester.path


def declare(folder: Path, n: int, gate: str, *, wrong=(), draft: str = "") -> None:
    """Write a suite of *n* cases, of which the draft gets those in *wrong* wrong."""
    cases = [{"id": f"c{i}", "input": f"q {i}", "expected": LABELS[i % 2]} for i in range(n)]
    write_rows(folder / "cases.jsonl", cases)
    for name, lost in (("current", ()), ("draft", wrong)):
        texts = ((c["id"], "none" if i in lost else c["expected"]) for i, c in enumerate(cases))
        write_rows(folder / f"{name}.jsonl", [{"id": key, "text": text} for key, text in texts])
    variants = "".join(
        f"  {name}: {{provider: recorded, replies: {name}.jsonl{more}}}\n"
        for name, more in (("current", ""), ("draft", draft))
    )
    head = f"cases: cases.jsonl\nreply: {{format: {{choice: [{', '.join(LABELS)}]}}}}\n"
    (folder / SUITE).write_text(f"{head}variants:\n{variants}gates:\n  {gate}\n", "utf-8")


def verdict(pytester, variant: str = "draft") -> Verdict:
    """Run the suite, and return the verdict on *variant*."""
    pytester.runpytest_inprocess("--ftgate", "--ftgate-json=run.json")
    report = read_run(pytester.path / "run.json")
    return next(one for one in report.verdicts if one.variant == variant)


def test_few_cases_are_gated_by_a_plain_threshold(folder, pytester):
    declare(folder, 8, edits("fewer than 14")[0])
    assert verdict(pytester).outcome == "passed"

    declare(folder, 8, edits("fewer than 14")[0], wrong=(0,))

    assert verdict(pytester).outcome == "failed"


def test_the_limit_that_is_left_out_is_what_the_cases_can_show(folder, pytester):
    for n in (30, 100, 500):
        (points,) = re.findall(rf"^\| {n} cases .* drops of (\d+) points", PAGE, re.MULTILINE)
        declare(folder, n, edits(f"{n} cases")[0])

        check = verdict(pytester).check

        assert (check.has_default_limit, round(100 * check.limit)) == (True, int(points)), n


#: A row of the page by its start, the number of cases, those that the draft loses, and the gate
#: before, where another one than that of the row is edited.
EDITED = [
    ("a level that counts", 100, range(3), "accuracy: {max_drop: 0.03}"),
    # A variant that is meant to be worse is held to the minimum alone.
    ("a cheaper variant", 100, range(11), ""),
]


@pytest.mark.parametrize(("start", "n", "lost", "before"), EDITED)
def test_an_edit_lets_a_gate_pass_that_did_not(folder, pytester, start, n, lost, before):
    *keys, gate = edits(start)
    declare(folder, n, before or gate, wrong=lost)
    assert verdict(pytester).outcome != "passed"

    declare(folder, n, gate, wrong=lost, draft="".join(f", {key}" for key in keys))

    assert verdict(pytester).outcome == "passed"


def test_one_case_fails_the_gate_that_must_never_fail(folder, pytester):
    declare(folder, 100, "accuracy: {max_drop: 0.2}", wrong=(7,))
    assert verdict(pytester).outcome == "passed"
    cases = (folder / "cases.jsonl").read_text("utf-8")

    (mark,) = edits("one case")
    (folder / "cases.jsonl").write_text(cases.replace('"id": "c7"', f'"id": "c7", {mark}'), "utf-8")

    assert verdict(pytester).outcome == "failed"


def test_a_label_that_is_lost_fails_the_gate_that_looks_at_labels(folder, pytester):
    lost = range(0, 100, 2)
    declare(folder, 400, "accuracy: {max_drop: 0.2}", wrong=lost)
    assert verdict(pytester).outcome == "passed"

    gate = edits("a label, a language")[0].replace("{", "{max_drop: 0.2, ")
    declare(folder, 400, gate, wrong=lost)

    assert verdict(pytester).outcome == "failed"


@pytest.mark.parametrize("start", ["replies vary", "few gates"])
def test_more_power_without_more_cases_is_written_as_the_page_says(folder, pytester, start):
    declare(folder, 100, "accuracy: {max_drop: 0.05}")
    (edit,) = edits(start)
    text = (folder / SUITE).read_text("utf-8")
    local = "{provider: llamacpp, model: smollm2-135m, temperature: 0.7}"
    text = re.sub(r"\{provider: recorded.*?\}", local, text)
    before = added(pytester, text)

    if "in the variant" in row(start):
        text = text.replace("temperature: 0.7", edit)
    elif "in the gate" in row(start):
        text = text.replace("{max_drop", f"{{{edit}, max_drop")
    else:
        text = f"{edit}\n{text}"

    assert added(pytester, text) < before


def added(pytester, text: str) -> int:
    """Return how many cases more the plan asks for, for the draft of the suite *text*."""
    (pytester.path / SUITE).write_text(text, "utf-8")
    plan = pytester.runpytest_inprocess("--ftgate", "--ftgate-plan")
    row = next(line for line in plan.outlines if line.strip().startswith("accuracy[draft]"))
    found = re.search(r"\+(\d+)", row)
    return int(found[1]) if found else 0


def test_power_and_plan_print_the_same_table_without_a_request(folder, pytester, capsys):
    declare(folder, 30, "accuracy: {}")
    (command,) = re.findall(r"`(pytest-ftgate power SUITE)`", PAGE)
    plan = pytester.runpytest_inprocess("--ftgate", "--ftgate-plan")
    capsys.readouterr()

    assert main([SUITE if word == "SUITE" else word for word in shlex.split(command)[1:]]) == 0

    lines = [line for line in capsys.readouterr().out.splitlines() if "accuracy[" in line]
    assert len(lines) == 2
    assert {*lines} <= {*plan.outlines}


def test_the_power_of_a_suite_is_printed_as_the_page_shows(folder, pytester, capsys):
    declare(folder, 100, "accuracy: {max_drop: 0.05}", wrong=(3, 7, 9))
    (shown,) = re.findall(r"```console\n\$ pytest-ftgate power .*?\n(.*?)```", PAGE, re.DOTALL)

    assert main(["power", SUITE]) == 0

    out = capsys.readouterr().out
    assert out.startswith(shown)
