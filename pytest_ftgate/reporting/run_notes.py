"""The words of notes on what the runs of agents take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftgate.gates.notes import NoteKind
from pytest_ftgate.reporting.number_text import Words, fill

#: What a run may state, by the unit of a check.
STATED_AMOUNTS: Mapping[str, str] = {
    "usd": "a cost",
    "usd_per_success": "a cost or a score",
    "tokens": "a number of tokens",
    "seconds": "a time",
    "tool_calls": "a number of tool calls",
}


def _few_runs(values: Mapping[str, Any]) -> str:
    text = fill(
        "{n:#{noun}}; at least {needed} are needed, since nothing limits what one run may take",
        values,
    )
    of_tasks = "; or write claim: these_tasks under accuracy, so that the runs are the sample"
    return f"{text}{of_tasks}" if values["noun"] == "task" else text


RUN_WORDS: Mapping[str, Words] = {
    NoteKind.UNKNOWN_RUNS: lambda values: fill(
        "{n:,} of {of:#run}{variant:? of #} {n:lacks/lack} {what}, and at most {allowed:percent} "
        "may",
        {**values, "what": STATED_AMOUNTS[values["unit"]]},
    ),
    NoteKind.NO_TARIFF: "no price is known of the tokens of {variant}",
    NoteKind.FEW_RUNS: _few_runs,
    NoteKind.UNSEEN_RUNS: "up to {share:percent} of {noun}s may take far more, unseen: nothing "
    "limits what one run may take",
    NoteKind.NOT_SURELY_BEYOND: "the 95 % CI lies beyond the limit; a failure needs a "
    "{confidence:percent} CI that does",
    NoteKind.NO_SUCCESS: "none of {n:#run} succeeded; a success rate of up to {rate:percent} is "
    "still possible, and at it a success costs {least:usd}",
    NoteKind.NO_SUCCESS_OF: "no run of {variant} succeeded, so that a success has no cost",
}
