"""A gate in the closing section: every width, every encoding, and a limit on its lines."""

from __future__ import annotations

from dataclasses import replace

from ftgate_testing.reports import failing_run, inconclusive_verdict, report
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.gates.verdict import CheckKind, Outcome
from pytest_ftgate.reporting.gate_summary import gate_lines
from pytest_ftgate.reporting.summary import MAX_LINES, summary_lines
from pytest_ftgate.reporting.text import cell_count, encodable, shorten, terminal_width

FAILED = failing_run().verdicts[0]
CHECK = inconclusive_verdict().checks[1]


@every_row("columns", [60, 80, 100, 160])
@every_row("text", ["很长的文字" * 40, "👍 fine " * 40, "word " * 80])
def test_no_line_but_a_command_is_wider_than_the_terminal(columns, text):
    with terminal_width(columns):
        lines = summary_lines(failing_run([text]))

    assert [x for x in lines if cell_count(x) > columns and "pytest" not in x] == []


@every_row("gates", [1, 2, 3, 8, 40])
def test_the_closing_section_holds_24_lines_however_many_gates_fail(gates):
    lines = summary_lines(report(*(replace(FAILED, variant=f"v{n}") for n in range(gates))))

    assert len(lines) <= MAX_LINES
    assert any(line.startswith("    fix ") for line in lines)


def test_signs_that_an_encoding_lacks_become_ascii():
    assert encodable("✗ 98 % → 70 %, −28 │ …", "ascii") == "x 98 % -> 70 %, -28 | ..."
    assert encodable("−28 é", "cp1252") == "-28 é"
    assert encodable("✗ −28", "utf-8") == "✗ −28"


def test_a_wide_text_is_cut_by_the_columns_that_it_takes():
    assert shorten("退款退款退款", 7) == "退款退…"
    assert cell_count("退款退…") == 7


@every_row("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE])
def test_a_minimum_counts_its_wrong_cases(outcome):
    check = replace(CHECK, kind=CheckKind.MINIMUM, before=None, limit=0.85, outcome=outcome)
    alone = replace(FAILED, checks=(check,), deciding=0, outcome=outcome, regressed=40)

    lines = gate_lines(alone, "accuracy[new]", 24)

    assert "    40 of 100 cases are wrong" in lines


STEPS = (
    NextStep(StepKind.FIX_LABEL, {"label": "refund", "taken_for": "billing", "replies": 7}),
    NextStep(StepKind.LOWER_USAGE),
    NextStep(StepKind.SETTLE_SKILL, {
        "skill": "facts", "n": 20, "margin": 0.1, "low": -0.2, "high": 0.1,
    }),
    NextStep(StepKind.SET_LIMIT, {"setting": "max_drop: 0.1", "where": "s.ftgate.yaml:6"}),
    NextStep(StepKind.EXPLAIN, {"node": "s.ftgate.yaml::accuracy[new]"}),
)  # fmt: skip


def labels(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines if line.startswith("    ") and line[4] != " "]


def test_steps_stand_in_the_order_of_their_roles():
    lines = gate_lines(replace(FAILED, next=STEPS), "accuracy[new]", 40)

    assert labels(lines)[-5:] == ["fix", "fix", "or", "accept", "see"]


def test_where_not_all_steps_fit_each_role_keeps_its_first_one():
    verdict = replace(FAILED, next=STEPS)
    whole = len(gate_lines(verdict, "accuracy[new]", 40))

    lines = gate_lines(verdict, "accuracy[new]", whole - 4)

    assert labels(lines)[-4:] == ["fix", "or", "accept", "see"]
    assert not any("smaller model" in line for line in lines)


def test_a_remark_that_is_the_edit_stays_where_other_remarks_are_dropped():
    values = {"variant": "good", "gates": 1, "for": "new", "is_baseline": False}
    values |= {"where": "tickets.ftgate.yaml:6", "record": "tickets.ftgate.yaml"}
    step = NextStep(StepKind.SHIP_OTHER, values)
    verdict = replace(FAILED, next=(step, *(one for one in STEPS if one.kind is StepKind.EXPLAIN)))

    for most in range(5, 24):
        lines = gate_lines(verdict, "accuracy[new]", most)
        assert ("or" in labels(lines)) == any("gated: false for new" in line for line in lines)
