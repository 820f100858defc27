"""A prompt got worse, and the build says by how much, how sure it is and what to do."""

from __future__ import annotations

import re

import pytest


@pytest.fixture
def red(desk):
    desk.suite(current=2, worse=30)
    return desk.run()


def test_the_build_is_red(red):
    red.assert_outcomes(passed=1, failed=1)
    assert red.ret == 1


def test_the_section_opens_with_what_got_worse_and_by_how_much(red):
    red.stdout.fnmatch_lines(
        [
            "_* tickets.ftgate.yaml:6 accuracy[[]worse] _*",
            "accuracy down 28 points (95 % CI 20 to 37), limit 5: current 98 % → worse 70 %",
        ],
        consecutive=True,
    )


def test_lost_cases_are_quoted_with_both_replies(red):
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


def test_more_words_show_more_lost_cases(desk):
    desk.suite(current=2, worse=30)

    result = desk.run("-vv")

    result.stdout.fnmatch_lines(["    t002  *", "    t029  *"])


def test_the_closing_section_is_the_last_thing_above_the_count_and_answers_in_24_lines(red):
    lines = red.outlines
    start = next(n for n, line in enumerate(lines) if re.fullmatch("=+ ftgate =+", line))
    closing = lines[start + 1 : -1]

    assert re.fullmatch("=+ 1 failed, 1 passed in .* =+", lines[-1])
    assert len(closing) <= 24
    node = "tickets.ftgate.yaml::accuracy[worse]"
    assert closing == [
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
        f'              pytest --ftgate -vv "{node}"',
        "    or      keep current, which passes its gate",
        "              (gated: false for worse, tickets.ftgate.yaml:5)",
        "",
        "✓ 1 passed   accuracy: current 98 %",
        "200 replies: 200 cached, 0 requested",
    ]


def test_the_table_of_gates_comes_before_with_v(desk):
    desk.suite(current=2, worse=30)

    desk.run("-v").stdout.fnmatch_lines(
        [
            "=* ftgate: details =*",
            "  variant * gate * before * after * change (95 % CI) * cases * verdict*",
            "  worse * accuracy * 98 % * 70 % * down 28 (20 to 37) * 100 * FAILED*",
            "  current * accuracy * 98 % * 100 * passed*",
            "=* short test summary info =*",
            "=* ftgate =*",
        ]
    )


def test_the_short_summary_holds_the_headline(red):
    red.stdout.fnmatch_lines(
        ["FAILED tickets.ftgate.yaml::accuracy[[]worse] - accuracy down 28 points *"]
    )


def test_no_line_of_a_red_build_is_a_traceback(red):
    red.stdout.no_fnmatch_line("*Traceback*")
    red.stdout.no_fnmatch_line("*.py:*")


def test_a_real_drop_is_failed_even_where_the_floor_cannot_tell(desk):
    desk.suite("{accuracy: {min: 0.8, max_drop: 0.05}}", current=2, worse=30)

    result = desk.run("-v")

    result.stdout.fnmatch_lines(["tickets.ftgate.yaml::accuracy[[]worse] FAILED*"])


def test_replies_in_the_wrong_form_name_the_commonest_fault(desk):
    desk.suite("{format: {max_drop: 0.05}}", current=0, chatty=0)
    desk.replies("chatty", wrong=40, said="Well, billing I suppose")

    result = desk.run()

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "replies in the right format down 40 points *",
            "    fix     say in the prompt how replies must look",
            "              (the most common format error is *",
        ]
    )


def test_of_repeated_replies_a_wrong_one_shows_what_was_lost(desk):
    desk.suite(current=0, worse=0)
    right = [{"id": f"t{n:03}", "text": desk.label(n)} for n in range(100)]
    wrong = [row | {"text": desk.label(n + 1)} for n, row in enumerate(right)]
    desk.write_rows("current.jsonl", [*right, *right])
    desk.write_rows("worse.jsonl", [*right, *wrong[:40], *right[40:]])
    suite = desk.path("tickets.ftgate.yaml")
    suite.write_text(f"repeats: 2\n{suite.read_text('utf-8')}", "utf-8")

    result = desk.run()

    result.stdout.fnmatch_lines(
        ["    t000 *", "*expected  billing", "*before    billing", "*now       refund"]
    )
