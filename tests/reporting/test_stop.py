"""Why a training is stopped, and what a stop needs, in words."""

from __future__ import annotations

from dataclasses import replace

from ftgate_testing.reports import failing_run
from ftgate_testing.tables import every_row

from pytest_ftgate.reporting.stop import distance_text, stop_text

VERDICT = failing_run().verdicts[2]
LOST = {"before": 0.61, "after": 0.44, "low": -0.23, "high": -0.11}
CHECK = replace(VERDICT.checks[0], **LOST, limit=0.1, unit="share", is_unchanged=False)
PART = replace(VERDICT.slices[0], kind="family", name="maths", **LOST, margin=0.1)


def test_a_stop_names_what_was_lost_of_how_much():
    found = [(VERDICT, CHECK), (VERDICT, PART)]

    assert stop_text(found, surely_half=True) == (
        "general skills 61 → 44 %, down 17 points (95 % CI 11 to 23): "
        "surely more than half of the 10 allowed; "
        "family maths 61 → 44 %, down 17 points (95 % CI 11 to 23): "
        "surely more than half of the 10 allowed"
    )
    # What makes it sure has a decimal where whole points would hide it.
    near = replace(CHECK, after=0.53, low=-0.11, high=-0.053)
    assert "61.0 → 53.0 %, down 8.0 points (95 % CI 5.3 to 11.0)" in stop_text(
        [(VERDICT, near)], surely_half=True
    )
    assert stop_text(found[:1], surely_half=False).endswith(": shown, and perhaps over 10")


@every_row(
    ("change", "needed", "text"),
    [
        (-0.06, -0.0812, "down 6 of 10 allowed; a stop needs down 9 here"),
        (-0.06, -0.08, "down 6 of 10 allowed; a stop needs down 8 here"),
        (-0.0862, -0.0891, "down 8.6 of 10 allowed; a stop needs down 9.0 here"),
    ],
)
def test_what_a_stop_needs_is_never_less_than_it_takes_and_differs_from_what_is_lost(
    change, needed, text
):
    check = replace(CHECK, before=0.5, after=0.5 + change)

    assert distance_text(VERDICT, check, needed) == f"general skills {text}"
