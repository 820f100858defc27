"""The words of findings in training data, and of what to do about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_ftgate.gates.note_kinds import FindingKind, Remedy
from pytest_ftgate.reporting.number_text import quantity
from pytest_ftgate.reporting.wording import Words


def _sensitive(values: Mapping[str, Any]) -> str:
    pairs = zip(values["names"], values["counts"], strict=True)
    verb = "seems" if values["rows"] == 1 else "seem"
    shown = ", ".join(f"{name} ({count:,})" for name, count in pairs)
    return f"{quantity(values['rows'], 'row')} {verb} to contain {shown}"


def _format(values: Mapping[str, Any]) -> str:
    pairs = zip(values["names"], values["counts"], strict=True)
    verb = "breaks" if values["answers"] == 1 else "break"
    shown = ", ".join(f"{name} {count:,}" for name, count in pairs)
    return f"{quantity(values['answers'], 'answer')} {verb} the format of replies ({shown})"


#: The words of each kind of finding, and of each remedy.
FINDING_WORDS: Mapping[str, Words] = {
    FindingKind.FEW_ROWS: "{rows:#row} to learn from, and {wanted:,} are wanted",
    FindingKind.TURNS: "{rows:#conversation} {rows:has/have} turns out of order: user and "
    "assistant must take turns, the user first",
    FindingKind.TOO_LONG: "{rows:#row} {rows:is/are} longer than the context of {context:,} "
    "tokens (estimated as characters / 4)",
    FindingKind.UNVERIFIED: "{rows:#synthetic row} {rows:names/name} no reviewer",
    FindingKind.SENSITIVE: _sensitive,
    FindingKind.DUPLICATE: "{rows:#row} {rows:repeats/repeat} another; "
    "the first is that of line {earlier}, in line {line}",
    FindingKind.NEAR_DUPLICATE: "{rows:#row} nearly {rows:repeats/repeat} another that has the "
    "same answer; the first is that of line {earlier}, in line {line}",
    FindingKind.CONFLICT: "{questions:#question} {questions:is/are} asked with different "
    "answers; the first in lines {line} and {other}",
    FindingKind.FORMAT: _format,
    FindingKind.THOUGHTS: "{answers:#answer} {answers:has/have} a thought before it",
    FindingKind.MIXED_THOUGHTS: "{answers:#answer} {answers:has/have} a thought before it, and "
    "the others have none",
    FindingKind.MISSING_LABEL: "{count:#label} of the suite without a row: "
    "{labels:list}{more:?, …}",
    FindingKind.RARE_LABEL: "{label} has {rows:,} rows and {rare} has {rare_rows:,}: more than "
    "{times} times as many",
    FindingKind.DOUBTFUL_LABEL: "{rows:#row} {rows:has/have} another label than similar "
    "rows; the clearest is line {line}: {label}, and not {other}",
    FindingKind.NEW_FACTS: "{answers:#answer} {answers:names/name} people, places, dates or "
    "numbers that the question does not",
    FindingKind.LEAK: "{count:,} of {of:#case} {count:stands/stand} in the training data; "
    "the first is {first}, in line {line}",
    FindingKind.NEAR_LEAK: "{count:,} of {of:#case} {count:stands/stand} nearly in the training "
    "data; the first is {first}, in line {line}",
    Remedy.SHOW_EXAMPLES: "so few teach a style at most; show them as examples in the prompt "
    "instead",
    Remedy.ADD_ROWS: "more rows, or as few as these only for a narrow task",
    Remedy.JOIN_TURNS: "join turns of the same speaker, and add the missing turns",
    Remedy.SHORTEN: "shorten or split them: the answer comes last and is cut off first",
    Remedy.REVIEW: 'have someone read them, and write "verified_by" beside each',
    Remedy.REVOKE: "revoke it and take it out: a model gives away what it was trained on",
    Remedy.INVENT: "replace it by invented data, unless you may train on it",
    Remedy.REMOVE: "remove them",
    Remedy.VARY: "keep one of each, or write more varied ones",
    Remedy.CHOOSE: "choose one answer, or make the questions different",
    Remedy.WRITE_AS_REPLIES: "a model learns the format of its answers: write them as replies "
    "must be",
    Remedy.CHECK_THOUGHTS: "many chat templates cut thoughts off or add empty ones: check what "
    "the trainer makes of a row, and write thoughts in all answers or in none",
    Remedy.ADD_LABELS: "add rows of each of these labels",
    Remedy.ADD_RARE: "add rows of the rare labels; what is rare in training is rarely answered",
    Remedy.READ_LABELS: "read them: a wrong label is learned as well as a right one",
    Remedy.RETRIEVE: "facts are better retrieved than trained: new ones are learned badly, and "
    "teach the model to invent",
    Remedy.TAKE_OUT: "take the rows out and train again; until then these cases show nothing",
}
