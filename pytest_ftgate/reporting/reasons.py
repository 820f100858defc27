"""The words of reasons, conditions and notes of an advice, by kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftgate.recommend.reasons import ReasonKind
from pytest_ftgate.reporting.number_text import (
    change_text,
    interval_text,
    level_span,
    percent,
    quantity,
)
from pytest_ftgate.reporting.wording import Words, fill


def _accuracy(values: Mapping[str, Any]) -> str:
    text = f"{values['variant']} is right in {percent(values['accuracy'])}"
    if "low" in values:
        text += f" ({interval_text(level_span(values['low'], values['high']))})"
    return f"{text}; the minimum is {percent(values['minimum'])}" if "minimum" in values else text


def _fails_gates(values: Mapping[str, Any]) -> str:
    rate = f", is right in {percent(values['accuracy'])}" if "accuracy" in values else ""
    return f"{values['variant']} is meant to serve{rate} and fails {', '.join(values['gates'])}"


def _changes(values: Mapping[str, Any]) -> str:
    count = f"{quantity(values['commits'], 'change')} in {quantity(values['days'], 'day')}"
    young = ", all that it has" * values["is_young"]
    kinds = (f"{kind} {values[kind]}" for kind in ("prompt", "cases", "suite") if kind in values)
    return f"{count}{young}" + f" ({', '.join(kinds)})" * bool(values["commits"])


def _many_changes(values: Mapping[str, Any]) -> str:
    return f"{_changes(values)}: over {values['most']}, each may mean to train again"


def _with_gain(template: str) -> Words:
    """Return the words of a kind that compares two variants: *gain* is the change."""

    def words(values: Mapping[str, Any]) -> str:
        gain = change_text(*(values[key] for key in ("change", "low", "high")))
        return fill(template, {**values, "gain": gain})

    return words


_RIGHT = "{variant} is right in {accuracy:percent}"
_GAP = "{variant} {accuracy:percent} against {below} {below_accuracy:percent}: {gain}"
_TIMES = "{variant} costs {times:,.0f} times as much a request as {tuned}"
_FIXES = "retrieval ({rag}) fixes {share:percent} of the failures of {variant}: "
_PROMPT = "the prompt of {variant} has about {tokens:,} tokens: "
_FORMAT = "{share:percent} of the replies of {variant} have a format error"
_COSTS = "{usd:usd} a month against {below_usd:usd} of {below} at {calls_per_day:,.0f} a day"

REASONS: Mapping[str, Words] = {
    ReasonKind.GAIN_IS_WORTH_IT: _with_gain(
        _GAP + "; a gain of {required:size} points or more is worth it alone"
    ),
    ReasonKind.AS_GOOD_AND_CHEAPER: _with_gain(_GAP + ": as good, and cheaper"),
    ReasonKind.GAIN_TOO_SMALL: _with_gain(_GAP + ", worth it from {required:size} points"),
    ReasonKind.NOT_SHOWN_AS_GOOD: _with_gain(_GAP + ", cheaper, but not shown to be as good"),
    ReasonKind.MAY_BE_CHANCE: _with_gain(_GAP + ", which may be chance"),
    ReasonKind.NO_GAIN: _with_gain(_GAP + ", no gain"),
    ReasonKind.MINIMUM: _RIGHT + ", the suite requires {minimum:percent}: {change:points} points",
    ReasonKind.NO_TRAINING_DATA: "no training_data is named; {wanted} labelled rows are wanted",
    ReasonKind.TOO_FEW_ROWS: "{rows:,} labelled rows: under {fewest} teach a style at most",
    ReasonKind.FEW_ROWS: "{rows:,} labelled rows; {wanted:,} or more are better",
    ReasonKind.ENOUGH_ROWS: "{rows:,} labelled rows",
    ReasonKind.CHANGES_UNKNOWN: "how often the task changes is not known: {reason}",
    ReasonKind.CHANGES: _changes,
    ReasonKind.MANY_CHANGES: _many_changes,
    ReasonKind.KNOWLEDGE_IS_MISSING: _FIXES + "knowledge is missing, and retrieval supplies it",
    ReasonKind.BEHAVIOUR_IS_MISSING: _FIXES + "behaviour is missing",
    ReasonKind.COSTLY_PROMPT: _PROMPT + "a fine-tune does not read them, and does not pay for them",
    ReasonKind.LONG_PROMPT: _PROMPT + "rules this long contradict each other; shorten it first",
    ReasonKind.SHORT_PROMPT: _PROMPT + "there is little to save",
    ReasonKind.FORMAT_UNDER_SCHEMA: _FORMAT + " under a schema",
    ReasonKind.FORMAT_WITHOUT_SCHEMA: _FORMAT + " without a schema",
    ReasonKind.MUST_RUN_HERE: (
        "the model must run here, which rules out a stronger one that is hosted"
    ),
    ReasonKind.PRICE_UNKNOWN: "whether the volume pays is not known: a price is {price}",
    ReasonKind.PAID_BACK: _COSTS + "; paid back in {days:days}",
    ReasonKind.PAID_BACK_LATE: _COSTS + "; paid back in {days:days}, over {most:g}",
    ReasonKind.WORTH_ITS_PRICE: _COSTS + "; its gain is worth that",
    ReasonKind.PRICE_OF_GAIN: _COSTS + ": {price:usd} for each reply more that is right",
    ReasonKind.NEVER_CHEAPER: _COSTS + "; cheaper at no volume",
    ReasonKind.CHEAPER_FROM: _COSTS + "; cheaper from {break_even:,.0f} a day on",
    ReasonKind.GATES: "gates of {variant}: {outcomes:list}",
    ReasonKind.CHALLENGER_IS_AS_GOOD: _with_gain("{variant} without tuning is as good: {gain}"),
    ReasonKind.NO_CHALLENGER: "no challenger is shown to be as good: {outcomes:list}",
    ReasonKind.RETIRES: "{model} retires in {days} days, on {date}: train again",
    ReasonKind.ACCURACY: _accuracy,
    ReasonKind.GAIN: _with_gain(_RIGHT + ": {gain} over {over}"),
    ReasonKind.COSTS_MORE: _with_gain(_TIMES + ": {gain}, which may be chance"),
    ReasonKind.REJECTED: "not {variant}: {reason}",
    ReasonKind.FAILS_GATES: _fails_gates,
    ReasonKind.ONLY_FINE_TUNES: "{variants:list} cannot be compared with an untuned rung",
    ReasonKind.NO_EXAMPLES: "no variant shows examples",
    ReasonKind.NO_STRONGER_MODEL: "no variant uses a stronger model",
    ReasonKind.FORMAT_ERRORS: _FORMAT,
    ReasonKind.NO_RETRIEVAL: "answers are free text, and no variant retrieves anything",
    ReasonKind.NO_TOOLS: "the suite scores calls of tools, and no variant has any",
    ReasonKind.JUDGED: "gains, and rates that no labels correct, are what a judge model says",
    ReasonKind.UNMEASURED: "{variant} could not be measured: {reason}",
    ReasonKind.UNANSWERED: "no reply came",
    ReasonKind.UNSCORED: "without an accuracy, and so not climbed: {variants:list}",
    ReasonKind.HELD_OUT_NOT_SENT: "the held-out cases could not be sent to {variant}: {reason}",
}
