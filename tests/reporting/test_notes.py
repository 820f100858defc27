"""The words of notes: those that depend on the values, and that each kind has its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

from ftgate_testing.tables import every_row

import pytest_ftgate
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
from pytest_ftgate.reporting import notes
from pytest_ftgate.reporting.notes import note_text, notes_text
from pytest_ftgate.reporting.number_text import Words
from pytest_ftgate.results.run import from_json, to_json

K = NoteKind
PACKAGE = Path(pytest_ftgate.__file__).parent
KINDS = [*NoteKind, *FindingKind, *Remedy, *ReplyNote, *IdentityNote, *Cause, *ReasonKind]
#: Each kind by its name in the code.
NAMED = {f"{type(kind).__name__}.{kind.name}": kind for kind in KINDS}
#: What of a template is made of other values.
DERIVED = {"gain": {"change", "low", "high"}, "span": {"low", "high", "margin"}}
CASES = {"cases": 60, "unrelated": 12}
ALL_CASES = {"cases": 60, "unrelated": 0}

#: A row: a note of a verdict, and its words.
VERDICTS: list[tuple[Note, str]] = [
    (text_note("it timed out"), "it timed out"),
    (note(K.FEW_PAIRS, n=0, of=2), "0 of 2 cases can be compared"),
    (note(K.FEW_PAIRS, n=1, of=2),
     "1 of 2 cases can be compared; so few show nothing: add cases"),
    (note(K.TOO_FEW_REPLIES, n=1, of=1),
     "1 of 1 cases got a reply; so few show nothing: add cases"),
    (note(K.REFUSED, n=1, of=200, as_wrong=True),
     "1 of 200 replies were refused, which counts as wrong"),
    (note(K.REFUSED, n=1, of=200, as_wrong=False), "1 of 200 replies were refused"),
    (note(K.CUT_OFF, n=1, of=200, as_wrong=True),
     "1 of 200 replies were cut off by max_tokens, which counts as wrong"),
    (note(K.LABELS_USED_UP, n=41, all=1),
     "all 41 that differ are labelled, and more inputs take a new draw"),
    (note(K.LABELS_USED_UP, n=20, all=0),
     "the 20 labels of the suite are there, and more inputs take a new draw"),
    (note(K.LABELS_WAIT, n=1, look=3), "1 label waits for look 3, and decides nothing before"),
    (note(K.CASES_SHOW_NO_DROP, cases=40, unrelated=0, limit=0.03, possible=0.12),
     "40 cases alone cannot show 3 points, so that accepted results are held to 12 points"),
    (note(K.RUNS_NEVER_SHOW, key="max_drop", limit=0.04, tasks=12, runs=5, needed=7, possible=0.05),
     ("max_drop: 0.04 cannot be proven with 12 tasks and 5 runs each; "
      "write repeats: 7, or max_drop: 0.05")),
    (note(K.CASES_SHOW_NO_DROP, cases=20, unrelated=0, limit=0.03, possible=0.0),
     "20 cases alone cannot show 3 points, so that accepted results are not compared"),
    (note(K.UNSEEN_COST, most=0.04, max_tokens=4096, share=0.0304),
     "max_tokens 4,096 lets a case cost 0.04 USD, and up to 3 % of cases may cost that unseen"),
    (note(K.ABOVE_MOST, case="c9", usd=0.002, most=0.001024, max_tokens=1024, where="s.yaml:3"),
     ("case c9 cost 0.002 USD, and max_tokens 1024 lets a case cost 0.001024 at most, so the "
      "server does not keep it; write max_cost_per_case: with the most USD that one case can "
      "cost, in s.yaml:3")),
    (note(K.ABOVE_MOST, case="c9", usd=0.002, most=0.001, max_tokens=0, where="s.yaml:3"),
     ("case c9 cost 0.002 USD, and max_cost_per_case is 0.001; write max_cost_per_case: with the "
      "most USD that one case can cost, in s.yaml:3")),
    (note(K.NO_TARIFF, variant="old"), "no price is known of the tokens of old"),
    (note(K.UNKNOWN_RUNS, n=8, of=40, unit="seconds", variant="old", allowed=0.05),
     "8 of 40 runs of old lack a time, and at most 5 % may"),
    (note(K.FEW_RUNS, n=24, noun="run", needed=30),
     "24 runs; at least 30 are needed, since nothing limits what one run may take"),
    (note(K.FEW_RUNS, n=8, noun="task", needed=30),
     ("8 tasks; at least 30 are needed, since nothing limits what one run may take; or write "
      "claim: these_tasks under accuracy, so that the runs are the sample")),
    (note(K.TRAINED_ON, n=40, file="t.jsonl", line=7, first="facts-0"),
     ("40 skills cases stand in t.jsonl (line 7: facts-0) and are left out: what was trained on "
      "shows no forgetting")),
    (note(K.TRAINED_ON, n=1, file="t.jsonl", line=7, first="facts-0"),
     ("1 skills case stands in t.jsonl (line 7: facts-0) and is left out: what was trained on "
      "shows no forgetting")),
    (note(K.LIKE_LABELS, n=3, of=12, labels=2),
     "3 of 12 regressed answers look like this suite's labels (1 is not one of them)"),
    (note(K.COARSE_LIMIT, **ALL_CASES, points=20, none=0, for_15=30, for_10=65, for_5=1210),
     ("60 cases can rule out a drop of 20 points or more, no smaller; 30 would rule out 15, 65 "
      "would 10, 1,210 would 5")),
    (note(K.UNCHANGED_PASSES, check=0.974, checks=6, build=0.913),
     ("if nothing had changed, this check would pass in 97 of 100 runs, and the whole build with "
      "its 6 checks in 91 or more")),
    (note(K.UNCHANGED_PASSES, check=0.974, checks=1, build=0.974),
     "if nothing had changed, this check would pass in 97 of 100 runs"),
    (note(K.UNCHANGED_PASSES, check=0.57, changed=18, of=50, assumed=0.05),
     ("if nothing had changed, this check would pass in 57 of 100 runs; 18 of 50 outcomes changed "
      "here, and the default limit assumes 5 %")),
    (note(K.NO_LIMIT, **CASES, limit=0.4),
     "60 cases (12 unrelated ones) cannot show that a drop stays below 40 points"),
    (note(K.MINIMUM_OR_CASES, needed=14, groups=0, minimum=0.68),
     "write min: 0.68, or add cases: it takes about 14"),
    (note(K.MINIMUM_OR_CASES, needed=175, groups=14, minimum=0.0),
     "add cases: it takes about 14 groups like these (175 cases)"),
    (note(K.GROUPS_SHOW_NOTHING, **CASES, needed=10),
     "60 cases (12 unrelated ones) show nothing; it takes 10 groups of related cases"),
    (note(K.DROP_NEVER_SHOWN, key="max_drop", **ALL_CASES, limit=0.05, needed=59, groups=0,
          likely=1285, shown=0.13),
     ("max_drop: 0.05 cannot be proven with 60 cases; it takes 59 cases if not one gets worse, "
      "1,285 to pass 9 times in 10; or write max_drop: 0.13, which these cases show")),
    (note(K.DROP_NEVER_SHOWN, key="max_drop", **CASES, limit=0.02, needed=594, groups=149,
          likely=900, shown=0.0),
     ("max_drop: 0.02 cannot be proven with 60 cases (12 unrelated ones); "
      "it takes 149 groups like these (594 cases) if not one gets worse, 900 to pass 9 times in "
      "10")),
    (note(K.MINIMUM_NEVER_SHOWN, **ALL_CASES, limit=0.95, needed=59, possible=0.86),
     ("min: 0.95 cannot be proven with 60 cases; it takes 59 "
      "cases, all of them right, or min: 0.86")),
    (note(K.MINIMUM_NEVER_SHOWN, **ALL_CASES, limit=1, needed=0, possible=0.93),
     "min: 1 cannot be proven with 60 cases; min: 0.93"),
    (note(K.MARGIN_NEVER_SHOWN, limit=0.1, skills=("facts (6)", "sums (7)"), more=2, needed=25,
     possible=0.17),
     ("a loss of 0.1 can never be ruled out in facts (6), sums (7) and 2 more; "
      "it takes 25 cases of a skill, or a margin of 0.17")),
    (note(K.PRICE_WITHOUT_BOUND, variants=("a", "b"), **CASES, needed=300),
     ("nothing limits what one case of a, b may cost, so 60 cases (12 unrelated ones) cannot show "
      "that the mean keeps a limit: write max_cost_per_case with the most USD of one case, "
      "evidence: point for a plain threshold, or take 300 unrelated cases")),
    (note(K.PRICE_NEVER_SHOWN, variant="a", limit=0.5, most=0.04, max_tokens=4096, possible=900,
          possible_usd=0.0009, **ALL_CASES, needed=294),
     ("60 cases can never show 0.50 USD per 1,000 requests of a, since max_tokens 4,096 lets a "
      "case cost 0.04 USD: write max_tokens: 900, take 294 cases, or write evidence: point")),
    (note(K.PRICE_NEVER_SHOWN, variant="a", limit=0.5, most=0.04, max_tokens=0, possible=0,
          possible_usd=0.0084, **ALL_CASES, needed=294),
     ("60 cases can never show 0.50 USD per 1,000 requests of a, since max_cost_per_case lets a "
      "case cost 0.04 USD: write max_cost_per_case: 0.0084, take 294 cases, or write evidence: "
      "point")),
]  # fmt: skip

# Training data


FINDINGS = [
    (FindingKind.SENSITIVE,
     {"rows": 2000, "names": ("a password", "an AWS key"), "counts": (2000, 1)},
     "2,000 rows seem to contain a password (2,000), an AWS key (1)"),
    (FindingKind.FORMAT, {"answers": 1002, "names": ("preamble", "fenced"), "counts": (1000, 2)},
     "1,002 answers break the format of replies (preamble 1,000, fenced 2)"),
    (FindingKind.MISSING_LABEL, {"count": 2, "labels": ("b", "c"), "more": False},
     "2 labels of the suite without a row: b, c"),
    (FindingKind.MISSING_LABEL, {"count": 6, "labels": ("b", "c"), "more": True},
     "6 labels of the suite without a row: b, c, …"),
]  # fmt: skip

# Replies, and the model behind them

REPLIES = [
    (ReplyNote.SHARE, {"what": "refusals", "before": 0.5, "after": 0.75},
     "75 % of replies are refusals, 50 % before"),
    (ReplyNote.SHARE, {"what": "same text", "before": 0, "after": 0.3},
     "30 % of replies are the same text, 0 % before"),
    (ReplyNote.SHARE, {"what": "hedging", "before": 0, "after": 0.5},
     "50 % of replies hedge, 0 % before"),
    (ReplyNote.SHARE, {"what": "thoughts", "before": 1, "after": 0.875},
     "88 % of replies begin with a thought, 100 % before"),
    (ReplyNote.SHARE, {"what": "cut off", "before": 0.025, "after": 0.5},
     "50 % of replies are cut off at their token limit, 2 % before"),
    (ReplyNote.LENGTH, {"what": "replies", "before": 6, "after": 1, "unit": "words"},
     "replies are 17 % as long as before (median 6 → 1 word)"),
    (ReplyNote.LENGTH,
     {"what": "thoughts", "before": 1500.0, "after": 3000.0, "unit": "characters"},
     "thoughts are twice as long as before (median 1,500 → 3,000 characters)"),
]  # fmt: skip

SWITCH = "extra: {chat_template_kwargs: {enable_thinking: false}}"
LIMIT = "raise max_tokens of the forgetting gate"

IDENTITIES = [
    (IdentityNote.EMPTY_REPLIES, {"count": 3, "of": 4, "recorded": False},
     "identity not proven: 3 of 4 replies are empty"),
    (IdentityNote.CUT_OFF_REPLIES, {"count": 3, "of": 4, "recorded": False},
     f"identity not proven: 3 of 4 replies were cut off without an answer; {LIMIT}"),
    (IdentityNote.CUT_OFF_THOUGHTS, {"count": 3, "of": 4, "recorded": True, "switch": ""},
     ("identity not proven, its base is recorded: 3 of 4 replies were cut off without an "
     f"answer; the model thinks; {LIMIT}")),
    (IdentityNote.CUT_OFF_THOUGHTS, {"count": 3, "of": 4, "recorded": False, "switch": SWITCH},
     ("identity not proven: 3 of 4 replies were cut off without an answer; the model "
     f"thinks; {LIMIT}, or write {SWITCH}")),
    (IdentityNote.BROKEN_SCHEMA, {"broken": 1, "of": 20, "whole": True},
     "the schema is broken in 1 of 20 whole replies"),
    (IdentityNote.IGNORED_SCHEMA, {"broken": 1, "of": 2, "whole": False},
     "the schema is broken in 1 of 2 replies: the server did not enforce it"),
    (IdentityNote.SKILL_USED, {"skill": "pdf", "used": 14, "of": 15, "untraced": 0},
     "skill pdf was used in 14 of 15 runs"),
    (IdentityNote.SKILL_USED, {"skill": "pdf", "used": 1, "of": 1, "untraced": 2},
     "skill pdf was used in 1 of 1 run; 2 more have no trace"),
    (IdentityNote.SKILL_UNUSED, {"skill": "pdf", "of": 15, "others": (), "hint": ""},
     "skill pdf was used in 0 of 15 runs: their traces name no skill"),
]  # fmt: skip

ENDED = {"count": 18, "of": 20}

CAUSES = [
    (Cause.THOUGHT, {**ENDED, "is_new": False},
     "the thought of 18 of 20 replies did not end: raise max_tokens, or switch thinking off"),
    (Cause.THOUGHT, {**ENDED, "is_new": True},
     ("the thought of 18 of 20 replies did not end: raise max_tokens, or switch thinking off; "
      "none had a thought before, so the training may be why")),
]  # fmt: skip

# Advice

GAIN = {"change": 0.08, "low": 0.05, "high": 0.11}
GAP = {"variant": "t", "accuracy": 0.93, "below": "b", "below_accuracy": 0.85, **GAIN}
GAIN_TEXT = "up 8 points (95 % CI 5 to 11)"
GAP_TEXT = f"t 93 % against b 85 %: {GAIN_TEXT}"
CHANGES = {"commits": 9, "prompt": 7, "cases": 3, "suite": 0}
CHANGES_TEXT = "9 changes in 90 days (prompt 7, cases 3, suite 0)"

REASONS = [
    (note("gain too small", **GAP, required=0.1), f"{GAP_TEXT}, worth it from 10 points"),
    # A gain, a rate or an interval that would read like its limit has a decimal.
    (note("gain too small", **{**GAP, "change": 0.0984}, required=0.1),
     "t 93 % against b 85 %: up 9.8 points (95 % CI 5.0 to 11.0), worth it from 10 points"),
    (note("minimum", variant="b", accuracy=0.846, minimum=0.85, change=-0.004),
     "b is right in 84.6 %, the suite requires 85 %: −0.4 points"),
    (note("accuracy", variant="b", accuracy=0.88, low=0.846, high=0.9, minimum=0.85),
     "b is right in 88.0 % (95 % CI 84.6 to 90.0 %); the minimum is 85 %"),
    (note("minimum", variant="b", accuracy=0.8, minimum=0.85, change=-0.05),
     "b is right in 80 %, the suite requires 85 %: −5 points"),
    (note("changes", days=90, is_young=False, **CHANGES), CHANGES_TEXT),
    (note("changes", days=1, is_young=True, commits=1, prompt=1),
     "1 change in 1 day, all that it has (prompt 1)"),
    (note("changes", days=3, is_young=True, commits=0, prompt=0),
     "0 changes in 3 days, all that it has"),
    (note("many changes", days=90, is_young=False, most=6, **CHANGES),
     f"{CHANGES_TEXT}: over 6, each may mean to train again"),
    (note("good challenger", variant="c", **GAIN), f"c without tuning is as good: {GAIN_TEXT}"),
    (note("accuracy", variant="b", accuracy=0.88, low=0.86, high=0.9),
     "b is right in 88 % (95 % CI 86 to 90 %)"),
    (note("accuracy", variant="b", accuracy=0.88, minimum=0.85),
     "b is right in 88 %; the minimum is 85 %"),
    (note("fails gates", variant="t", accuracy=0.5, gates=("accuracy", "format")),
     "t is meant to serve, is right in 50 % and fails accuracy, format"),
    (note("fails gates", variant="t", gates=("cost",)), "t is meant to serve and fails cost"),
    (note("locked in", variant="t", rows=800),
     ("the weights of t stay with its service; what stays yours are 800 labelled rows and the "
      "cases, so to leave is to train and to gate once more")),
]  # fmt: skip

NOTED = [
    (note(kind, **values), text)
    for kind, values, text in (*FINDINGS, *REPLIES, *IDENTITIES, *CAUSES)
]
ROWS = [*VERDICTS, *NOTED, *REASONS]


@every_row("told, words", ROWS)
def test_a_note_is_worded_by_its_kind_also_after_the_way_between_two_processes(told, words):
    carried = from_json(Note, to_json(told))

    assert carried == told
    assert note_text(carried) == words


def test_notes_of_an_older_record_that_name_no_variant_have_words():
    assert note_text(note(K.NO_TOKENS, n=1, of=2)).startswith("1 of 2 replies report no tokens")
    told = note_text(note(K.UNKNOWN_RUNS, n=8, of=40, unit="seconds", allowed=0.05))
    assert told == "8 of 40 runs lack a time, and at most 5 % may"


def test_notes_are_joined_by_semicolons():
    assert notes_text([note(K.SMALL_DROP), text_note("so")]) == (
        "a real drop, within the limit; so"
    )
    assert notes_text([]) == ""


def words_of(kind) -> Words:
    return notes._WORDS.get(kind) or notes._rare_words(kind)


def test_every_kind_of_note_has_words_and_a_name_of_its_own():
    assert [kind for kind in KINDS if not words_of(kind)] == []
    assert len({*KINDS}) == len(KINDS)


def fields(template: str) -> set[str]:
    """Return the names of the values that a template takes."""
    found = set[str]()
    for _, name, style, _ in Formatter().parse(template):
        found |= DERIVED.get(name, {name}) | fields(style) if name else set()
    return found


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Return the nodes of the code that makes notes, or names a kind of them."""
    text = path.read_text("utf-8")
    return [*ast.walk(ast.parse(text))] if "note(" in text or "NoteKind" in text else []


def calls(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield the kind and the names of the values of each note of which the code states both."""
    for node in nodes(path):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "note":
            kind, names = ast.unparse(node.args[0]), {one.arg for one in node.keywords}
            if None not in names and kind in NAMED:
                yield NAMED[kind], names


def test_every_note_that_is_made_has_the_values_of_its_words():
    made = [call for path in PACKAGE.rglob("*.py") for call in calls(path)]

    lacking = {
        kind: missing
        for kind, names in made
        if isinstance(words := words_of(kind), str) and (missing := fields(words) - names)
    }
    assert lacking == {}
    assert len(made) > 50


def test_every_verb_of_a_template_has_its_form_for_one_first():
    verbs = re.findall(r"\{\w+:(\w+)/(\w+)\}", Path(notes.__file__).read_text("utf-8"))

    assert len(verbs) > 10
    for one, more in {*verbs} - {("is", "are"), ("has", "have")}:
        assert one == f"{more}s" or more == f"{one}s", (one, more)


def test_every_kind_of_note_is_made_somewhere():
    places = [path for path in PACKAGE.rglob("*.py") if path.parent.name != "reporting"]
    made = {
        node.attr
        for path in places
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "NoteKind"
    }

    assert made == {kind.name for kind in NoteKind}
