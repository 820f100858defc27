import pytest

from pytest_ftgate.gates.units import (
    duration,
    exact_percent,
    exact_points,
    milliseconds,
    percent,
    percent_interval,
    points,
    points_interval,
    signed_percent,
    times,
    usd,
)


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.614, "61 %"), (0.0, "0 %"), (1.0, "100 %"), (0.996, "99.6 %"), (0.004, "0.4 %")],
)
def test_shares_are_said_in_per_cent_and_never_rounded_to_the_ends(share: float, said: str) -> None:
    assert percent(share) == said


@pytest.mark.parametrize(
    ("change", "said"), [(-0.47, "−47"), (0.02, "+2"), (0.0, "0"), (-0.001, "0")]
)
def test_changes_are_said_in_signed_points(change: float, said: str) -> None:
    assert points(change) == said


def test_an_interval_is_two_changes() -> None:
    assert points_interval(-0.53, -0.40) == "(−53 −40)"


@pytest.mark.parametrize(
    ("ratio", "said"),
    [
        (12.34, "12.3 times"),
        (2.33, "2.3 times"),
        (3.0, "3 times"),
        (1.98, "twice"),
        (1.0, "1 times"),
        (0.5, "half"),
        (0.43, "43 %"),
        (0.34, "a third"),
        (1 / 9, "11 %"),
        (0.05, "5 %"),
        (0.0, "0 %"),
    ],
)
def test_a_ratio_of_lengths_is_said_in_plain_words(ratio: float, said: str) -> None:
    assert times(ratio) == said


@pytest.mark.parametrize(
    ("money", "said"),
    [
        (0, "0.00 USD"),
        (0.42, "0.42 USD"),
        (0.125, "0.125 USD"),
        (0.0123456, "0.0123 USD"),
        (0.00000071, "0.00000071 USD"),
        (0.9999, "1.00 USD"),
        (1234.567, "1,234.57 USD"),
    ],
)
def test_money_is_said_in_dollars_and_never_rounded_to_nothing(money: float, said: str) -> None:
    assert usd(money) == said


@pytest.mark.parametrize(
    ("time", "said"), [(0.123, "0.12 ms"), (812.4, "812 ms"), (1500.0, "1,500 ms")]
)
def test_latency_is_said_in_milliseconds(time: float, said: str) -> None:
    assert milliseconds(time) == said


@pytest.mark.parametrize(("seconds", "said"), [(9.4, "0:09"), (251.0, "4:11"), (3661.0, "1:01:01")])
def test_a_length_of_time_is_said_as_on_a_clock(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_rise_is_signed_and_may_be_unbounded() -> None:
    assert (signed_percent(0.234), signed_percent(-0.1)) == ("+23 %", "−10 %")
    assert (
        percent_interval(0.1, 0.3),
        percent_interval(None, 0.3),
        percent_interval(None, None),
    ) == ("(+10 +30)", "(… +30)", "")


@pytest.mark.parametrize(
    ("change", "said"), [(-0.026, "−2.6"), (0.0049, "+0.5"), (0.0, "0"), (0.0001, "0")]
)
def test_changes_are_said_with_a_decimal_where_asked(change: float, said: str) -> None:
    assert exact_points(change) == said


def test_shares_are_said_with_a_decimal_where_asked() -> None:
    assert exact_percent(0.80949) == "80.9 %"
