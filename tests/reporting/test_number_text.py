from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import round_up, round_up_to_point
from pytest_ftgate.reporting.number_text import (
    amount,
    change_size,
    file_size,
    fill,
    level,
    level_span,
    milliseconds,
    percent,
    points,
    quantity,
    signed_percent,
    span,
    times,
    unsigned_points,
    usd,
)
from pytest_ftgate.results.builder import duration


@every_row("share, said", [
    (0.614, "61 %"), (0.0, "0 %"), (1.0, "100 %"), (0.996, "99.6 %"), (0.004, "0.4 %"),
    (0.0004, "0 %"), (0.0006, "0.1 %"), (0.9994, "99.9 %"), (0.9996, "100 %"), (0.012, "1 %"),
    (0.988, "99 %"),
])  # fmt: skip
def test_shares_are_said_in_per_cent_and_never_rounded_to_the_ends(share: float, said: str) -> None:
    assert percent(share) == said


def test_shares_are_said_with_a_decimal_where_asked_and_a_rise_with_its_sign() -> None:
    assert percent(0.80949, 1) == level(0.80949, digits=1) == "80.9 %"
    assert (signed_percent(0.234), signed_percent(-0.1)) == ("+23 %", "−10 %")


@every_row("change, said", [(-0.47, "−47"), (0.02, "+2"), (0.0, "0"), (-0.001, "0")])
def test_changes_are_said_in_signed_points(change: float, said: str) -> None:
    assert points(change) == said


@every_row("count, said", [(1_200, "1 kB"), (999_999, "1,000 kB"), (1_000_000, "1.0 MB")])
def test_sizes_of_files_are_said_in_megabytes_from_one_on(count: int, said: str) -> None:
    assert file_size(count) == said


@every_row("low, high, said", [
    (-0.53, -0.40, "40 to 53"), (0.04, 0.16, "4 to 16"), (-0.08, 0.01, "8 down to 1 up"),
    (-0.08, 0.0, "0 to 8"), (None, -0.1, "10 or more"), (-0.1, None, "10 or less"),
    (None, None, ""), (0.0, 0.0, ""),
    # Bounds that would read alike have a decimal more, as far as it is worth one.
    (0.0996, 0.1043, "10.0 to 10.4"), (-0.002, 0.003, "0.2 down to 0.3 up"), (-0.0001, 0.0003, ""),
])  # fmt: skip
def test_an_interval_of_a_change_names_its_directions_where_they_differ(low, high, said) -> None:
    assert span(low, high) == said


@every_row("low, high, unit, said", [
    (0.6, 0.79, "share", "60 to 79 %"), (0.4, 0.44, "usd", "0.40 to 0.44 USD"),
    (0.4, None, "usd", "0.40 USD or more"), (None, 1500.0, "ms", "1,500 ms or less"),
    (0.0, 0.0, "share", ""),
])  # fmt: skip
def test_an_interval_of_a_level_has_its_unit_once(low, high, unit, said) -> None:
    assert level_span(low, high, unit) == said


@every_row("share, said", [(-0.05, "5"), (0.025, "2.5"), (0.0045, "0.45")])
def test_a_limit_has_no_sign_and_its_declared_decimals(share: float, said: str) -> None:
    assert unsigned_points(share) == said


@every_row("share, rounded", [(0.0521, 0.06), (0.05, 0.05), (0.0500001, 0.06), (0.07, 0.07)])
def test_a_limit_is_rounded_up_to_whole_points(share: float, rounded: float) -> None:
    assert round_up_to_point(share) == rounded


@every_row("number, noun, said", [
    (1, "case", "1 case"), (0, "case", "0 cases"), (1200, "case", "1,200 cases"),
    (2, "reply", "2 replies"), (1, "reply", "1 reply"), (2, "day", "2 days"),
])  # fmt: skip
def test_a_number_stands_with_its_noun(number: int, noun: str, said: str) -> None:
    assert quantity(number, noun) == said


@every_row("value, said", [
    (0.05213, "0.0522"), (0.052, "0.052"), (1234.0, "1240"), (1.001, "1.01"), (100.0, "100"),
    (0.0, "0"),
])  # fmt: skip
def test_a_limit_to_write_is_rounded_up_to_three_figures(value: float, said: str) -> None:
    assert round_up(value) == said


@every_row("value, unit, said", [
    (0.25, "share", "25 %"), (0.25, "usd", "0.25 USD"), (9.4, "ms", "9.4 ms"),
    (1200.0, "words", "1,200 words"),
    (1.2, "tokens", "1 token"), (0.2, "tokens", "0 tokens"),
])  # fmt: skip
def test_an_amount_is_said_in_its_unit(value: float, unit: str, said: str) -> None:
    assert amount(value, unit) == said


@every_row("ratio, said", [
    (12.34, "12.3 times"), (2.33, "2.3 times"), (3.0, "3 times"), (1.98, "twice"), (1.0, "1 times"),
    (0.5, "half"), (0.43, "43 %"), (0.34, "a third"), (0.26, "a quarter"), (0.2, "a fifth"),
    (0.1, "a tenth"), (0.47, "47 %"), (0.53, "53 %"), (1234.0, "1,234 times"), (1 / 9, "11 %"),
    (0.05, "5 %"), (0.0, "0 %"),
])  # fmt: skip
def test_a_ratio_of_lengths_is_said_in_plain_words(ratio: float, said: str) -> None:
    assert times(ratio) == said


@every_row("money, said", [
    (0, "0.00 USD"), (0.42, "0.42 USD"), (0.125, "0.125 USD"), (0.0123456, "0.0123 USD"),
    (0.00000071, "0.00000071 USD"), (0.9999, "1.00 USD"), (0.999, "0.999 USD"), (0.5, "0.50 USD"),
    (1, "1.00 USD"), (1.006, "1.01 USD"), (1234.567, "1,234.57 USD"),
])  # fmt: skip
def test_money_is_said_in_dollars_and_never_rounded_to_nothing(money: float, said: str) -> None:
    assert usd(money) == said


@every_row(
    "time, said", [(0.123, "0.12 ms"), (9.4, "9.4 ms"), (812.4, "812 ms"), (1500.0, "1,500 ms")]
)
def test_latency_is_said_in_milliseconds(time: float, said: str) -> None:
    assert milliseconds(time) == said


@every_row("seconds, said", [
    (9.4, "0:09"), (59.6, "1:00"), (251.0, "4:11"), (3599.4, "59:59"), (3600.0, "1:00:00"),
    (3661.0, "1:01:01"),
])  # fmt: skip
def test_a_length_of_time_is_said_as_on_a_clock(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@every_row("change, digits, said", [
    (-0.0263, 1, "down 2.6 points"), (0.0049, 1, "up 0.5 points"), (0.0049, 0, "no change"),
    (-0.01, 0, "down 1 point"), (0.0001, 1, "no change"),
])  # fmt: skip
def test_a_change_has_a_direction_and_decimals_where_asked(change, digits, said) -> None:
    assert change_size(change, digits) == said


@every_row("words, said", [
    ("{n:#case} with {name}, no reply to {n:,}", "2 tasks with case 7, no run of 2"),
    ("{n:#reply} of {cases}{n:? (# unrelated cases)}", "2 runs of replies (2 unrelated tasks)"),
])  # fmt: skip
def test_words_about_tasks_change_and_values_do_not(words: str, said: str) -> None:
    assert fill(words, {"n": 2, "name": "case 7", "cases": "replies", "noun": "task"}) == said
