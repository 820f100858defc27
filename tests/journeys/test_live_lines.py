"""A user watches a run that waits for replies: each verdict as soon as it is reached."""

from __future__ import annotations

import pytest
from ftgate_testing.tables import every_row

#: Lets a run look as if it had waited for replies, however quickly they came.
WAITED = """\
from pytest_ftgate.plugin.state import begun_key

def pytest_runtest_setup(item):
    item.config.stash[begun_key] = True
"""
PASSED = "✓ accuracy[current]   98 % (min 85 %)"
FAILED = "✗ accuracy[draft]   DOWN 28 POINTS   (95 % CI 20 to 37)   limit 5"
OPEN = "? accuracy[close]   DOWN 3 POINTS   (95 % CI 8 down to 1 up)   limit 5"


@pytest.fixture
def watched(desk):
    desk.suite(current=2, close=5, draft=30)
    desk.pytester.makeconftest(WAITED)
    return desk


def while_it_runs(result) -> list[str]:
    """Return what is shown from the first gate to the failures."""
    lines = [line.rstrip() for line in result.outlines]
    first = next(n for n, line in enumerate(lines) if "collected " in line)
    return [line for line in lines[first + 1 : lines.index("", first + 2)] if line]


@every_row(
    "options, lines",
    [
        ((), ["tickets.ftgate.yaml", PASSED, OPEN, FAILED]),
        (
            ("-v",),
            [
                "tickets.ftgate.yaml::accuracy[current] PASSED",
                PASSED,
                "tickets.ftgate.yaml::accuracy[close] INCONCLUSIVE",
                OPEN,
                "tickets.ftgate.yaml::accuracy[draft] FAILED",
                FAILED,
            ],
        ),
    ],
)
def test_each_verdict_has_a_line_in_the_words_of_the_closing_section(watched, options, lines):
    result = watched.run(*options)

    shown = [line.partition("  ")[0] if "::" in line else line for line in while_it_runs(result)]
    assert [line for line in shown if not line.strip().endswith("[100%]")] == lines
    closing = result.outlines[result.outlines.index(FAILED) + 1 :]
    assert FAILED in closing
    assert OPEN in closing


@pytest.mark.heavy
def test_every_process_of_xdist_lets_its_verdicts_be_shown(watched):
    result = watched.run("-p", "xdist", "-n", "2")

    lines = result.outlines[
        : result.outlines.index(next(x for x in result.outlines if "FAIL" in x))
    ]
    assert {PASSED, OPEN, FAILED} <= {*result.outlines}
    assert PASSED in lines


@every_row("options, waits", [(("-q",), True), ((), False)])
def test_a_quiet_run_and_one_that_waits_for_nothing_show_letters(desk, options, waits):
    desk.suite(current=2, close=5, draft=30)
    desk.pytester.makeconftest(WAITED if waits else "")

    result = desk.run(*options)

    assert any("." in line and ".?F" in line for line in result.outlines)
    assert PASSED not in result.outlines


def test_gates_of_two_files_are_told_apart_and_what_nothing_can_fail_has_no_line(watched):
    watched.marked("def test_it(case, reply):\n    assert reply.text\n", "min=0.5")
    watched.suite_of(
        {"current": "{provider: recorded, replies: current.jsonl}"},
        "{format: {min: 0.5}, accuracy: {min: 0, max_drop: none}}",
    )

    lines = while_it_runs(watched.run())

    shown = [line for line in lines if line.startswith(("✓", "?"))]
    assert shown == [
        "✓ test_it[current]   100 % (min 50 %)",
        "✓ tickets.ftgate.yaml::format[current]   100 % (min 50 %)",
    ]
