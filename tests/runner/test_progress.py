"""The line that is shown while replies are awaited."""

import pytest

from pytest_ftgate.client.progress import Progress
from pytest_ftgate.runner.progress import line_of


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress(planned=500), "ftgate: 0 of 500 replies asked"),
        (
            Progress(planned=600, reused=100, asked=118, failed=2, seconds=10.0, flying=16,
                     usd=0.42),
            ("ftgate: 120 of 500 replies asked, 100 from the ledger, 2 failed, 16 in flight · "
            "12.0 a second · 0.42 USD · 0:32 left"),
        ),
        (
            Progress(planned=4, asked=4, seconds=8.0),
            "ftgate: 4 of 4 replies asked · 0.5 a second · 0:00 left",
        ),
    ],
)  # fmt: skip
def test_it_tells_what_is_done_what_flies_what_it_cost_and_how_long_it_takes(progress, line):
    assert line_of(progress) == line
