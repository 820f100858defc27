"""A prompt got worse, and the build says by how much, how sure it is and what to do."""

from __future__ import annotations

import re


def test_a_red_build_says_what_got_worse_and_quotes_lost_cases_and_shows_no_traceback(desk):
    desk.suite(current=2, worse=30)

    red = desk.run()

    red.assert_outcomes(passed=1, failed=1)
    assert red.ret == 1
    red.stdout.fnmatch_lines(
        [
            "_* tickets.ftgate.yaml:6 accuracy[[]worse] _*",
            "accuracy down 28 points (95 % CI 20 to 37), limit 5: current 98 % → worse 70 %",
        ],
        consecutive=True,
    )
    red.stdout.fnmatch_lines(
        [
            "  passed before, fails now (1 of 28, -vv shows more)",
            "    t002  Ticket 2: help",
            "      │ expected  billing",
            "      │ before    billing",
            "      │ now       refund",
        ],
        consecutive=True,
    )
    red.stdout.fnmatch_lines(
        ["FAILED tickets.ftgate.yaml::accuracy[[]worse] - accuracy down 28 points *"]
    )
    red.stdout.no_fnmatch_line("*Traceback*")
    red.stdout.no_fnmatch_line("*.py:*")
    assert closing_section(red.outlines) == CLOSING


#: The last thing above the count, in at most 24 lines.
CLOSING = [
    f"BLOCKED  1 of 2 gates failed{'tickets.ftgate.yaml':>52}",
    "",
    "✗ accuracy[worse]   DOWN 28 POINTS   (95 % CI 20 to 37)   limit 5",
    "    current 98 % → worse 70 %   28 of 100 cases regressed, 0 fixed",
    "    also failed: 70 % (95 % CI 60 to 79 %), min 85 %",
    "    where   billing → refund 15   refund → billing 15",
    "    e.g.    t002  Ticket 2: help",
    "              expected  billing",
    "              current   billing",
    "              now       refund",
    "",
    "    fix     tell “billing” from “refund”   (15 replies took billing for refund)",
    "    fix     t002, t003, t004 and 25 more   (changed: replies)",
    '              pytest --ftgate -vv "tickets.ftgate.yaml::accuracy[worse]"',
    "    or      keep current, which passes its gate",
    "              (gated: false for worse, tickets.ftgate.yaml:5)",
    "",
    "✓ 1 passed   accuracy: current 98 %",
    "200 replies: 200 cached, 0 requested",
]


def closing_section(lines):
    """Return the closing section, after which only the count of tests may come."""
    start = next(n for n, line in enumerate(lines) if re.fullmatch("=+ ftgate =+", line))
    assert re.fullmatch("=+ 1 failed, 1 passed in .* =+", lines[-1])
    return lines[start + 1 : -1]
