"""The progress line of a run."""

from ftgate_testing.tables import every_row

from pytest_ftgate.client.budget import Progress
from pytest_ftgate.runner.progress_log import progress_line

BUSY = Progress(
    planned=600, reused=100, received=118, failed=2, seconds=90.0, rate=12.0, in_flight=16, usd=0.42
)
TAIL = " · 12.0 a second · 0.42 USD · about 0:32 left"


@every_row("progress, line", [
    (Progress(planned=500), "[0:00]  0 of 500 requests (0 %)"),
    (BUSY,
     "[1:30]  120 of 500 requests (24 %) · 2 failed · 100 from the cache · 16 in flight" + TAIL),
    (Progress(planned=4, received=4, rate=0.5), "[0:00]  4 of 4 requests (100 %) · 0.5 a second"),
])  # fmt: skip
def test_it_shows_replies_requests_in_flight_cost_and_remaining_time(progress, line):
    assert progress_line(progress, 160, bar=False) == line


@every_row("columns, line", [
    (100, "███░░░░░░░░░░░░░  120 of 500 requests (24 %) · 2 failed" + TAIL),
    (84, "███░░░░░░░░░░░░░  120 of 500 requests (24 %) · 2 failed · 0.42 USD · about 0:32 left"),
    (73, "███░░░░░░░░░░░░░  120 of 500 requests (24 %) · 2 failed · about 0:32 left"),
    (30, "███░░░░░░░░░░░░░  120 of 500 r"),
])  # fmt: skip
def test_a_narrow_terminal_keeps_the_time_that_is_left(columns, line):
    assert progress_line(BUSY, columns) == line
