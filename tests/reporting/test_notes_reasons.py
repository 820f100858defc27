"""The words of every kind of reason, condition and note of an advice."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.gates.notes import (
    Cause,
    FindingKind,
    IdentityNote,
    Note,
    NoteKind,
    Remedy,
    ReplyNote,
    note,
    text_note,
)
from pytest_ftgate.recommend.advice import ReasonKind
from pytest_ftgate.reporting.notes import note_text
from pytest_ftgate.results.run import from_json, to_json

GAIN = {"change": 0.08, "low": 0.05, "high": 0.11}
GAP = {"variant": "t", "accuracy": 0.93, "below": "b", "below_accuracy": 0.85, **GAIN}
GAIN_TEXT = "up 8 points (95 % CI 5 to 11)"
GAP_TEXT = f"t 93 % against b 85 %: {GAIN_TEXT}"
COSTS = {"usd": 1_560.0, "below_usd": 750.0, "below": "b", "calls_per_day": 5_000.0}
COSTS_TEXT = "1,560.00 USD a month against 750.00 USD of b at 5,000 a day"
FIXES = {"rag": "r", "variant": "b", "share": 0.79}
FIXES_TEXT = "retrieval (r) fixes 79 % of the failures of b"
PROMPT = {"variant": "b", "tokens": 3_001}
PROMPT_TEXT = "the prompt of b has about 3,001 tokens"
BROKEN = {"variant": "b", "share": 0.5}
BROKEN_TEXT = "50 % of the replies of b have a format error"
CHANGES = {"commits": 9, "prompt": 7, "cases": 3, "suite": 0}
CHANGES_TEXT = "9 changes in 90 days (prompt 7, cases 3, suite 0)"

WORDS = [
    (note("worth it", **GAP, required=0.05),
     f"{GAP_TEXT}; a gain of 5 points or more is worth it alone"),
    (note("good and cheaper", **GAP), f"{GAP_TEXT}: as good, and cheaper"),
    (note("gain too small", **GAP, required=0.1), f"{GAP_TEXT}, worth it from 10 points"),
    (note("not shown good", **GAP), f"{GAP_TEXT}, cheaper, but not shown to be as good"),
    (note("may be chance", **GAP), f"{GAP_TEXT}, which may be chance"),
    (note("no gain", **GAP), f"{GAP_TEXT}, no gain"),
    (note("minimum", variant="b", accuracy=0.8, minimum=0.85, change=-0.05),
     "b is right in 80 %, the suite requires 85 %: −5 points"),
    (note("no training data", wanted=500),
     "no training_data is named; 500 labelled rows are wanted"),
    (note("too few rows", rows=3, fewest=200), "3 labelled rows: under 200 teach a style at most"),
    (note("few rows", rows=200, wanted=1_500), "200 labelled rows; 1,500 or more are better"),
    (note("enough rows", rows=1_200), "1,200 labelled rows"),
    (note("changes unknown", reason="git is not installed"),
     "how often the task changes is not known: git is not installed"),
    (note("changes", days=90, is_young=False, **CHANGES), CHANGES_TEXT),
    (note("changes", days=1, is_young=True, commits=1, prompt=1),
     "1 change in 1 day, all that it has (prompt 1)"),
    (note("changes", days=3, is_young=True, commits=0, prompt=0),
     "0 changes in 3 days, all that it has"),
    (note("many changes", days=90, is_young=False, most=6, **CHANGES),
     f"{CHANGES_TEXT}: over 6, each may mean to train again"),
    (note("knowledge is missing", **FIXES),
     f"{FIXES_TEXT}: knowledge is missing, and retrieval supplies it"),
    (note("behaviour is missing", **FIXES), f"{FIXES_TEXT}: behaviour is missing"),
    (note("costly prompt", **PROMPT),
     f"{PROMPT_TEXT}: a fine-tune does not read them, and does not pay for them"),
    (note("long prompt", **PROMPT),
     f"{PROMPT_TEXT}: rules this long contradict each other; shorten it first"),
    (note("short prompt", **PROMPT), f"{PROMPT_TEXT}: there is little to save"),
    (note("errors under schema", **BROKEN), f"{BROKEN_TEXT} under a schema"),
    (note("errors without schema", **BROKEN), f"{BROKEN_TEXT} without a schema"),
    (note("must run here"),
     "the model must run here, which rules out a stronger one that is hosted"),
    (note("price unknown", price="unpriced"),
     "whether the volume pays is not known: a price is unpriced"),
    (note("paid back", **COSTS, days=0.2), f"{COSTS_TEXT}; paid back in 0.2 days"),
    (note("paid back late", **COSTS, days=400.4, most=180.0),
     f"{COSTS_TEXT}; paid back in 400 days, over 180"),
    (note("worth its price", **COSTS), f"{COSTS_TEXT}; its gain is worth that"),
    (note("price of gain", **COSTS, price=0.1666),
     f"{COSTS_TEXT}: 0.167 USD for each reply more that is right"),
    (note("never cheaper", **COSTS), f"{COSTS_TEXT}; cheaper at no volume"),
    (note("cheaper from", **COSTS, break_even=10_870.2),
     f"{COSTS_TEXT}; cheaper from 10,870 a day on"),
    (note("gates", variant="t", outcomes=("accuracy passed", "format inconclusive")),
     "gates of t: accuracy passed, format inconclusive"),
    (note("good challenger", variant="c", **GAIN), f"c without tuning is as good: {GAIN_TEXT}"),
    (note("no challenger", outcomes=("c inconclusive", "d worse")),
     "no challenger is shown to be as good: c inconclusive, d worse"),
    (note("retires", model="m", days=29, date="2026-12-24"),
     "m retires in 29 days, on 2026-12-24: train again"),
    (note("accuracy", variant="b", accuracy=0.88, low=0.86, high=0.9),
     "b is right in 88 % (95 % CI 86 to 90 %)"),
    (note("accuracy", variant="b", accuracy=0.88, minimum=0.85),
     "b is right in 88 %; the minimum is 85 %"),
    (note("gain", variant="t", accuracy=0.93, over="b", **GAIN),
     f"t is right in 93 %: {GAIN_TEXT} over b"),
    (note("costs more", variant="b", times=150.2, tuned="t", **GAIN),
     f"b costs 150 times as much a request as t: {GAIN_TEXT}, which may be chance"),
    (note("rejected", variant="t", reason=note("no gain", **GAP)), f"not t: {GAP_TEXT}, no gain"),
    (note("fails gates", variant="t", accuracy=0.5, gates=("accuracy", "format")),
     "t is meant to serve, is right in 50 % and fails accuracy, format"),
    (note("fails gates", variant="t", gates=("cost",)), "t is meant to serve and fails cost"),
    (note("only fine-tunes", variant="t", variants=("t", "u")),
     "t, u cannot be compared with an untuned rung"),
    (note("no examples"), "no variant shows examples"),
    (note("no stronger model"), "no variant uses a stronger model"),
    (note("format errors", **BROKEN), BROKEN_TEXT),
    (note("no retrieval"), "answers are free text, and no variant retrieves anything"),
    (note("no tools"), "the suite scores calls of tools, and no variant has any"),
    (note("judged"), "gains, and rates that no labels correct, are what a judge model says"),
    (note("unmeasured", variant="t", reason=text_note("no key {x}")),
     "t could not be measured: no key {x}"),
    (note("unanswered"), "no reply came"),
    (note("unscored", variants=("t", "u")), "without an accuracy, and so not climbed: t, u"),
    (note("held-out unsent", variant="t", reason="no key"),
     "the held-out cases could not be sent to t: no key"),
]  # fmt: skip


@every_row("reason, text", WORDS)
def test_a_reason_has_its_words_also_after_the_way_between_two_processes(reason, text):
    carried = from_json(Note, to_json(reason))

    assert carried == reason
    assert note_text(carried) == text


def test_every_kind_of_reason_has_words_and_a_name_of_its_own():
    assert {reason.kind for reason, _ in WORDS} == {*ReasonKind}
    others = (NoteKind, FindingKind, Remedy, ReplyNote, IdentityNote, Cause)
    taken = [str(kind) for kinds in (ReasonKind, *others) for kind in kinds]
    assert sorted({*taken}) == sorted(taken)
