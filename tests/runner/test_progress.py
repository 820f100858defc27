"""The progress line of a run."""

import pytest

from pytest_ftgate.client.progress import Progress
from pytest_ftgate.runner.progress import progress_line


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress(planned=500), "ftgate: 0 of 500 requests done"),
        (
            Progress(planned=600, reused=100, received=118, failed=2, rate=12.0, in_flight=16,
                     usd=0.42),
            ("ftgate: 120 of 500 requests done · 2 failed · 100 from the cache · 16 in flight · "
            "12.0 a second · 0.42 USD · 0:32 left"),
        ),
        (
            Progress(planned=4, received=4, rate=0.5),
            "ftgate: 4 of 4 requests done · 0.5 a second · 0:00 left",
        ),
    ],
)  # fmt: skip
def test_it_shows_replies_requests_in_flight_cost_and_remaining_time(progress, line):
    assert progress_line(progress) == line


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (82, "ftgate: 120 of 500 requests done · 2 failed · 12.0 a second · 0.42 USD · 0:32 left"),
        (79, "ftgate: 120 of 500 requests done · 2 failed · 0.42 USD · 0:32 left"),
        (60, "ftgate: 120 of 500 requests done · 2 failed · 0:32 left"),
        (20, "ftgate: 120 of 500 r"),
    ],
)
def test_a_narrow_terminal_keeps_the_time_that_is_left(columns, line):
    progress = Progress(
        planned=600, reused=100, received=118, failed=2, rate=12.0, in_flight=16, usd=0.42
    )

    assert progress_line(progress, columns) == line
