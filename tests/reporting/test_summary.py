"""The section of a gate that blocks, and the closing one."""

from __future__ import annotations

from dataclasses import replace

from ftgate_testing.reports import (
    failed_test,
    failing_run,
    gate_not_evaluated,
    inconclusive_verdict,
    report,
)
from ftgate_testing.tables import every_row

from pytest_ftgate.client.budget import JUDGE_LABEL, CostReport
from pytest_ftgate.gates.notes import text_note
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.gates.verdict import CheckKind, Flip, Outcome, Slice
from pytest_ftgate.plugin.verdicts import NOT_RUN, PASSED_XFAIL
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.markdown import escape_markdown, markdown_report
from pytest_ftgate.reporting.next_steps import error_fix
from pytest_ftgate.reporting.summary import (
    colour_parts,
    detail_lines,
    summary_lines,
    unlisted_lines,
)
from pytest_ftgate.reporting.tables import usage_line
from pytest_ftgate.reporting.verdict import other_check_lines, verdict_section
from pytest_ftgate.results.run import NotEvaluated, Report

FAILED, FENCED, FORGOT, GOOD = failing_run().verdicts


def test_gates_that_were_not_evaluated_are_named_with_the_reason():
    never = NotEvaluated(node="suite.ftgate.yaml::cost[new]", reason=NOT_RUN)

    made = report(not_evaluated=(gate_not_evaluated(), never))
    lines = summary_lines(made)

    assert lines[0] == "BLOCKED  2 of 2 gates not evaluated"
    heads = [number for number, line in enumerate(lines) if "NOT EVALUATED" in line]
    assert [lines[number + 1].strip() for number in heads] == [
        "current: no key",
        "the run ended first",
    ]
    assert lines.count(f"    fix     {error_fix(made)}") == 2


def test_a_gate_that_passed_as_a_failed_test_is_counted_and_named_with_the_reason():
    made = report(GOOD, failed_tests=(failed_test(),))

    head, *lines = summary_lines(made)
    quiet = summary_lines(made, -1)[1]

    assert head.startswith("BLOCKED  1 of 1 gate failed as a test")
    assert lines[1:3] == ["✗ test_it.py::test_it[current]   FAILED TEST", f"    {PASSED_XFAIL}"]
    assert quiet.startswith("✗ failed test: test_it.py::test_it[current]: passed, though")


def test_likely_texts_are_compared_word_by_word():
    flip = Flip(
        case="c1", where="c.jsonl:1", regressed=True, shown="What is it?", before="12",
        expected="the total is 12 USD", now="the total is 13 USD",
    )  # fmt: skip

    lines = verdict_section(replace(FAILED, flips=(flip,))).split("\n")

    assert "      │ differs   the total is [-12-] {+13+} USD" in lines


@every_row("verdict", [FAILED, FENCED, FORGOT])
@every_row("verbosity", [-1, 0, 1, 2])
def test_a_section_says_what_fell_and_how_surely(verdict, verbosity):
    text = verdict_section(verdict, verbosity)

    assert text.startswith(headline(verdict)[:40])
    assert ("It fails if" in text) == (verbosity > 0)


PART = Slice(
    kind="tag", name="long", n=90, before=0.9, after=0.8, low=-0.16, high=-0.04, p_drop=0.01,
    p_alone=0.001, state="inconclusive",
)  # fmt: skip


@every_row("named, is_told", [("clearly", True), ("perhaps", False), ("", False)])
def test_of_a_passed_gate_the_closing_section_and_the_comment_tell_what_clearly_fell(
    named, is_told
):
    made = report(replace(GOOD, slices=(replace(PART, named=named),)))

    text, told = "\n".join(summary_lines(made)), "clearly fell: tag long down 10 (4 to 16)"
    assert (f"; {told}" in " ".join(text.split())) is is_told
    assert (
        f"passed: {escape_markdown(headline(made.verdicts[0]))}" in markdown_report(made)
    ) is is_told


COUNT = "1 of 2 parts may have fallen (by chance: at most 0.1)"


def passed_with(*named, variant="new"):
    parts = (replace(PART, name=name or "even", named=name) for name in named)
    return replace(GOOD, variant=variant, slices=tuple(parts))


@every_row("others, closing", [
    ((), COUNT), ((passed_with("", ""),), COUNT.replace("2", "4", 1)),
    # A gate of which a part clearly fell has a line of its own. A red build is short.
    ((passed_with("clearly", "perhaps"),), COUNT), ((FAILED,), ""),
])  # fmt: skip
def test_parts_of_a_passed_gate_that_may_have_fallen_are_counted_and_named_in_detail(
    others, closing
):
    passed = passed_with("perhaps", "", variant="old")
    made = report(passed, *others)
    line = f"accuracy[old] passed: {COUNT}: tag perhaps down 10 (4 to 16)"

    counts = [line for line in summary_lines(made) if line.endswith("-v shows which")]
    assert counts == ([f"  {closing}; -v shows which"] if closing else [])
    assert " ".join(" ".join(detail_lines(made)).split()).count(line) == 1
    assert f"- {escape_markdown(line)}\n" in markdown_report(made)


@every_row("names, line", [
    (("short", "longer"), "    fell    short 90 → 40   longer 90 → 40"),
    (("a", "b", "c", "d"), "    fell    a 90 → 40   b 90 → 40   c 90 → 40   (1 more)"),
    (("instruction_following",) * 4,
     "    fell    instruction_following 90 → 40   (3 more)"),
])  # fmt: skip
def test_as_many_parts_that_fell_are_told_as_a_line_holds(names, line):
    parts = tuple(
        Slice(
            kind="tag", name=name, n=90, before=0.9, after=0.4, low=-0.6, high=-0.4, p_drop=0,
            p_alone=0, state="inconclusive", named="clearly",
        )
        for name in names
    )  # fmt: skip
    lines = summary_lines(report(replace(FAILED, slices=parts, labels=(), format_errors=())))

    assert [one for one in lines if one.startswith("    fell ")] == [line]


def test_the_verdict_is_the_first_line():
    assert summary_lines(failing_run())[0].split("  ")[:2] == ["BLOCKED", "3 of 4 gates failed"]
    assert summary_lines(report(GOOD))[0] == "PASSED  1 gate   accuracy: current 98 % (min 50 %)"


def test_in_quiet_a_gate_that_did_not_pass_has_a_line_and_its_first_step():
    _, *rows, _ = summary_lines(failing_run(), -1)

    assert [row.split()[1] for row in rows if row.startswith("✗")] == [
        *("forgetting[new]", "accuracy[new]", "format[new]"),
    ]
    # The first thing to do about each of them.
    assert sum(row.startswith("    fix ") for row in rows) == 3


LONG = "a-variant-whose-name-says-all-that-was-ever-tried-with-it-and-when"


def wide() -> Report:
    """Return a run that has more to say than a line holds."""
    names = ("current", LONG)
    verdicts = [replace(one, variant=LONG) for one in failing_run().verdicts]
    cost = CostReport(
        asked=0.1234,
        variants={**dict.fromkeys(names, 1.5), JUDGE_LABEL: 0.3},
        unknown={f"{LONG}-local": "local", "other": "unpriced"},
    )
    told = (
        f"accepted {', '.join(names)} in suites/tickets.accepted.json; commit it with the change",
        "interrupted: 1,234 of 5,678 requests were not answered; the same command continues",
    )
    return report(
        *verdicts, cost=cost, notes=told, not_evaluated=(gate_not_evaluated(),), max_usd=2.0
    )


@every_row("verbosity", [-1, 0, 1, 2])
def test_the_closing_section_keeps_within_80_columns(verbosity):
    lines = [*detail_lines(wide(), verbosity), *summary_lines(wide(), verbosity)]

    # A command is never broken.
    assert [one for one in lines if len(one) > 80 and "pytest" not in one] == []


def test_nothing_of_the_closing_section_is_lost_for_its_width():
    lines = [*detail_lines(wide()), *summary_lines(wide())]
    told = " ".join("".join(lines).split())

    for said in (*usage_line(wide()).split(" · "), "commit it with the change"):
        assert "".join(said.split()) in "".join(told.split())


def test_a_long_name_has_a_line_of_its_own_and_is_whole():
    lines = [line.strip() for line in detail_lines(wide())]

    assert LONG in lines
    assert lines.index("variant") < lines.index(LONG)


def test_wide_figures_leave_the_limit_to_the_headline_and_stay_whole():
    check = replace(
        FAILED.check, unit="ms", before=1234.0, after=1834.0, rise=0.49, low=0.31, high=0.69, n=1200
    )
    slow = replace(FAILED, variant="tuned", gate="latency", checks=(check,), deciding=0)
    rows = detail_lines(report(slow, inconclusive_verdict()))

    assert max(len(row) for row in rows if "pytest" not in row) <= 80
    assert any("up 49 % (31 to 69 %)" in row for row in rows), rows


def test_a_path_is_left_whole_where_it_is_longer_than_a_line():
    path = f"/home/{'deep/' * 20}cache.sqlite"

    assert any(path in line for line in summary_lines(report(GOOD, notes=(f"damaged: {path}",))))


@every_row("width, said", [
    (None, "INCONCLUSIVE suite.ftgate.yaml::accuracy[new] - accuracy down 4.0 points (95 % CI "),
    (80, "INCONCLUSIVE suite.ftgate.yaml::accuracy[new] - accuracy down 4.0 points (95 % …"),
    (50, "INCONCLUSIVE suite.ftgate.yaml::accuracy[new]"),
])  # fmt: skip
def test_a_line_of_the_short_summary_is_cut_as_pytests_own_are(width, said):
    (line,) = unlisted_lines(report(inconclusive_verdict()), width)

    assert line[: len(said)] == said
    assert width is None or len(line) <= width


def test_what_else_was_told_comes_after_the_verdict():
    assert summary_lines(report(GOOD, notes=("batch b goes on",)))[-1] == "batch b goes on"


def test_a_word_is_tinted_where_it_stands_alone():
    parts = dict(colour_parts("  new  accuracy  FAILED  UNFAILED"))

    assert parts == {
        "  new  accuracy  ": {}, "FAILED": {"red": True}, "  UNFAILED": {}
    }  # fmt: skip


def test_checks_that_did_not_decide_name_their_cases_and_equal_replies():
    drop = replace(FAILED.checks[0], outcome=Outcome.PASSED)
    unchanged = replace(
        drop, before=0.6, after=0.6, is_unchanged=True, notes=(text_note("plain threshold"),)
    )
    must_pass = replace(drop, kind=CheckKind.MUST_PASS, case_ids=("a, b0", "c1"), n=2, after=0.0)

    checks = (drop, unchanged, must_pass)
    lines = other_check_lines(replace(FAILED, checks=checks, deciding=0))

    told = " ".join(" ".join(lines).split())
    assert "unchanged (same replies), limit 50: 60 % → 60 %: passed (plain threshold)" in told
    assert told.endswith("0 of 2 must-pass cases are right; wrong: a, b0, c1: passed")


def test_the_command_of_a_next_step_stands_in_a_line_of_its_own():
    node = f"{'x' * 90}::forgetting[new]"
    step = NextStep(StepKind.SHOW_REGRESSED, {"node": node})

    made = report(replace(FAILED, next=(step,), node=node))

    assert f'    see     pytest --ftgate -vv "{node}"' in summary_lines(made)
