"""A prompt got worse, and the build says by how much, how sure it is and what to do."""

from __future__ import annotations

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
            "accuracy 98 % → 70 % against current, −28 points, beyond the limit of 5",
            "100 cases: 28 regressed, 0 fixed. *",
        ],
        consecutive=True,
    )


def test_lost_cases_are_quoted_with_both_replies(red):
    red.stdout.fnmatch_lines(
        [
            "  passed before, fails now (3 of 28, -vv shows more)",
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


def test_the_section_ends_with_the_next_step(red):
    red.stdout.fnmatch_lines(["  next: read the regressed cases; *"])


def test_the_closing_section_begins_with_the_verdict_and_what_blocks(red):
    red.stdout.fnmatch_lines(
        [
            "=* ftgate =*",
            "BLOCKED  1 failed of 2 gates · *",
            "",
            "  variant * before * after * change * n * verdict*",
            "  worse * 98 % * 70 % * −28 (−37 −20) * 100 * FAILED * limit 5",
            "  current * 98 % * passed * min 85 %",
        ],
        consecutive=True,
    )


def test_the_short_summary_holds_the_headline(red):
    red.stdout.fnmatch_lines(
        ["FAILED tickets.ftgate.yaml::accuracy[[]worse] - accuracy 98 % → 70 %*"]
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
        ["replies in the right format 100 % → 60 % *", "  next: the most common format error is *"]
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
