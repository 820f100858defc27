"""A gate in the closing section: every width, every encoding, and a limit on its lines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.reports import HOSTILE, failing_run, inconclusive_verdict, report

from pytest_ftgate.gates.notes import text_note
from pytest_ftgate.gates.verdict import CheckKind, Outcome
from pytest_ftgate.reporting.gate_summary import doubt_sentence, gate_lines
from pytest_ftgate.reporting.summary import MAX_LINES, summary_lines
from pytest_ftgate.reporting.text import cell_count, encodable, shorten, terminal_width

FAILED = failing_run().verdicts[0]
CHECK = inconclusive_verdict().checks[1]


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
@pytest.mark.parametrize("text", ["很长的文字" * 40, "👍 fine " * 40, "word " * 80])
def test_no_line_but_a_command_is_wider_than_the_terminal(columns, text):
    with terminal_width(columns):
        lines = summary_lines(failing_run([text]))

    assert [x for x in lines if cell_count(x) > columns and "pytest" not in x] == []


@pytest.mark.parametrize("gates", [1, 2, 3, 8, 40])
def test_the_closing_section_holds_24_lines_however_many_gates_fail(gates):
    lines = summary_lines(report(*(replace(FAILED, variant=f"v{n}") for n in range(gates))))

    assert len(lines) <= MAX_LINES
    assert any(line.startswith("    do ") for line in lines)


@pytest.mark.parametrize("nasty", HOSTILE)
def test_no_example_acts(nasty):
    flip = replace(FAILED.flips[0], now=HOSTILE[nasty], before=HOSTILE[nasty], shown=HOSTILE[nasty])
    lines = gate_lines(replace(FAILED, flips=(flip,)), "accuracy[new]", FAILED.next, 24)

    assert not {"\x1b", "\x00", "\u202e", "\u2028", "\x85", "\n"} & set("".join(lines))
    assert not [line for line in lines if line.lstrip().startswith(("::", "##["))]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"low": -0.08, "high": 0.01, "p_fail": 0.2},
            "A drop of 5 or more is still possible; so is no drop at all.",
        ),
        (
            {"low": -0.06, "high": -0.02, "p_fail": 0.001, "n": 300},
            "The drop is real. 300 cases cannot show that it stays below 5 points.",
        ),
        (
            {"low": -0.2, "high": -0.06, "p_fail": 0.02},
            "The drop is likely beyond the limit of 5, but not surely enough to fail.",
        ),
        (
            {"kind": CheckKind.MINIMUM, "before": None, "limit": 0.85},
            "A true rate below 85 % is still possible; so is one above it.",
        ),
        (
            {"missing": 3, "notes": (text_note("3 of 100 cases brought no reply"),)},
            "3 of 100 cases brought no reply, and these could turn the verdict.",
        ),
    ],
)
def test_an_inconclusive_check_says_what_is_still_possible(fields, expected):
    assert doubt_sentence(replace(CHECK, outcome=Outcome.INCONCLUSIVE, **fields)) == expected


def test_signs_that_an_encoding_lacks_become_ascii():
    assert encodable("✗ 98 % → 70 %, −28 │ …", "ascii") == "x 98 % -> 70 %, -28 | ..."
    assert encodable("−28 é", "cp1252") == "-28 é"
    assert encodable("✗ −28", "utf-8") == "✗ −28"


def test_a_wide_text_is_cut_by_the_columns_that_it_takes():
    assert shorten("退款退款退款", 7) == "退款退…"
    assert cell_count("退款退…") == 7


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE])
def test_a_minimum_names_its_wrong_cases(outcome):
    check = replace(CHECK, kind=CheckKind.MINIMUM, before=None, limit=0.85, outcome=outcome)
    alone = replace(FAILED, checks=(check,), deciding=0, outcome=outcome, regressed=40)

    lines = gate_lines(alone, "accuracy[new]", FAILED.next, 24)

    assert "    40 of 100 cases are wrong: c002, c003, c004 and 37 more" in lines
