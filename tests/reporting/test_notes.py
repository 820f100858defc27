"""The words of notes: each kind once."""

from __future__ import annotations

import ast
from pathlib import Path

from ftgate_testing.tables import every_row

import pytest_ftgate
from pytest_ftgate.gates.notes import Note, NoteKind, note, text_note
from pytest_ftgate.reporting.notes import note_text, notes_text

K = NoteKind
CASES = {"cases": 60, "unrelated": 12}
ALL_CASES = {"cases": 60, "unrelated": 0}

#: A row: a note, and its words.
ROWS: list[tuple[Note, str]] = [
    (text_note("it timed out"), "it timed out"),
    (note(K.FEW_PAIRS, n=1, of=2), "1 of 2 cases can be compared"),
    (note(K.TOO_FEW_REPLIES, n=1, of=2), "1 of 2 cases brought a reply"),
    (note(K.NOTHING_RIGHT), "nothing is right on either side, so the cases show nothing"),
    (note(K.AT_CHANCE, against="current", before=0.5),
     "current is at 50 %, so a drop from it cannot show"),
    (note(K.GUESSED, rate=0.25), "guessing is right in 25 %, so this minimum shows nothing"),
    (note(K.SMALL_DROP), "a real drop, but smaller than the limit"),
    (note(K.FEW_CASES, n=20, needed=30), "20 cases; at least 30 are needed"),
    (note(K.FEW_GROUPS, n=9, needed=10), "9 groups of related cases; at least 10 are needed"),
    (note(K.FEW_REPLIES, n=29, needed=30), "29 unrelated replies; at least 30 are needed"),
    (note(K.WHOLE_GROUPS, n=40, limit=0.05, needed=59),
     "40 groups of related cases; a limit of 5 points takes 59, since whole groups may break"),
    (note(K.MISSING, missing=2, of=1200), "2 of 1,200 cases brought no reply"),
    (note(K.MISSING_UNEVENLY, missing=8, of=200),
     "8 of 200 cases brought no reply, far more on one side than on the other"),
    (note(K.MISSING_COULD_TURN, missing=2, of=62),
     "2 of 62 cases brought no reply, and they could change the verdict"),
    (note(K.PLAIN_THRESHOLD, flips=0.31),
     "plain threshold: two runs like this one disagree 31 % of the time"),
    (note(K.UNCHANGED), "unchanged (same replies)"),
    (note(K.EXPECT_NOTHING, n=1, of=200), "1 of 200 cases expect nothing and are left out"),
    (note(K.LOOK_REPLIES, look=2, of=3, repeats=1),
     "decided at look 2 of 3, after 1 reply to each case"),
    (note(K.LOOK_REPLIES, look=2, of=3, repeats=3),
     "decided at look 2 of 3, after 3 replies to each case"),
    (note(K.LOOK_CASES, look=1, of=2, cases=1000, all=2000),
     "decided at look 1 of 2, after 1,000 of 2,000 cases"),
    (note(K.REFUSED, n=1, of=200, as_wrong=True),
     "1 of 200 replies were refused, which counts as wrong"),
    (note(K.REFUSED, n=1, of=200, as_wrong=False), "1 of 200 replies were refused"),
    (note(K.CUT_OFF, n=1, of=200, as_wrong=True),
     "1 of 200 replies were cut off by max_tokens, which counts as wrong"),
    (note(K.NO_ANSWER, n=3, of=40, variant="new"),
     "3 of 40 replies of new were cut off before an answer, which counts as wrong"),
    (note(K.NO_REPLY, n=2, of=200, first="it timed out"),
     "no reply to 2 of 200 cases; first: it timed out"),
    (note(K.F1_CASES, needed=100, n=99),
     "macro-F1 takes 100 unrelated cases, and 99 expect a label"),
    (note(K.F1_LABEL, needed=10, all=20, labels=2, label="refund", n=9),
     ("macro-F1 takes 10 unrelated cases of each expected label, which is 20 for 2 labels, and "
      "refund has 9")),
    (note(K.F1_REMEDY), "add cases, or write metric: accuracy"),
    (note(K.UNEXAMINED),
     "judge-relative: no labels have examined it, so this is true of its grades only"),
    (note(K.UNCORRECTED),
     "judge-relative: nothing corrects it, so this is true of its grades only"),
    (note(K.UNGRADED, n=3, of=9, first="hm"), "no grade for 3 of 9 replies: hm"),
    (note(K.SAME_OF_ALL, n=400), "the judge says the same of all 400 replies"),
    (note(K.SHOWS_NOTHING),
     "labels cannot rule out that the judge shows nothing of a true change"),
    (note(K.SHOWS_LESS, share=0.7, least=0.59),
     "the judge shows 70 % of a true change, at least 59 %; the limit was compared with that"),
    (note(K.LABELS_CORRECT_DROP, labels=100, change=-0.35),
     "corrected by 100 labels of these replies: the judge alone saw −35 points"),
    (note(K.LABELS_CORRECT_RATE, labels=100, rate=0.7),
     "corrected by 100 labels of these replies: the judge alone calls 70 % good"),
    (note(K.JUDGE_FINDS, good=0.95, bad=0.9, rate=0.84, needed=0.81),
     ("of good replies the judge finds 95 %, of bad 90 %; it calls 84 % good, 81 % would reach the "
      "minimum")),
    (note(K.GAVE_NO_GRADE, n=6, of=100, first="hm"),
     "it gave no grade in 6 of 100 cases, the first: hm"),
    (note(K.FEW_LABELS, n=49, rarer=9, needed=50, needed_of_a_kind=10),
     ("49 labels, 9 of the rarer kind, do not examine it; at least 50 are needed, 10 of either "
      "kind")),
    (note(K.SAME_OF_LABELLED, grade="good", n=80), 'it says "good" of all 80 labelled replies'),
    (note(K.METRIC_UNKNOWN, metric="kappa", minimum=0.4), "its kappa is not known, minimum 0.40"),
    (note(K.METRIC_BELOW, metric="kappa", value=0.05, low=-0.1, high=0.2, minimum=0.4),
     "kappa 0.05 (-0.10 to 0.20), minimum 0.40"),
    (note(K.FAVOURS_LENGTH, judge="m", favoured="longer", correlation=0.5),
     "m: it favours longer replies (rank correlation +0.50 with its error)"),
    (note(K.FAVOURS_PADDING, judge="m", n=8, of=9),
     "m: 8 of 9 bad replies got a better grade when its text was doubled"),
    (note(K.SAMPLES_AGREE, judge="m", share=0.88), "m: two samples of it agree in 88 %"),
    (note(K.ORDERS_AGREE, judge="m", share=0.33), "m: both orders agree in 33 %"),
    (note(K.RARE_THOUGHTS, baseline="plain", share=0.05),
     "plain thinks in 5 % of its replies, so no drop can show"),
    (note(K.OTHER_THOUGHTS),
     "one side counts its thoughts and the other shows them, so none is compared"),
    (note(K.FEW_THOUGHTS, n=29, needed=30),
     "both sides think in 29 unrelated cases; 30 are needed"),
    (note(K.FREE_BASELINE, baseline="current"),
     "current costs nothing, so no share of it can be computed"),
    (note(K.LARGE_CASE, share=0.12),
     "one case holds 12% of the cost, so that the mean rests on few of them"),
    (note(K.LARGE_GROUP, share=0.13),
     "one group of related cases holds 13% of the cost, so that the mean rests on few of them"),
    (note(K.NO_TOKENS, n=2, of=98), "2 of 98 replies report no tokens, so they have no price"),
    (note(K.NO_PRICE, n=1, first="gone"), "no reply to 1 case; first: gone"),
    (note(K.NO_TIME, n=9, first="gone"), "no reply to 9 requests; first: gone"),
    (note(K.NOT_REQUESTED, n=1800, of=2000),
     "1,800 of 2,000 replies were not requested in this run"),
    (note(K.BASELINE_NOT_REQUESTED, n=200, of=200, baseline="current"),
     ("200 of 200 replies of current were not requested in this run; request all of them again to "
      "measure it: --ftgate-replies=fresh")),
    (note(K.IN_FLIGHT, n=16), "measured with up to 16 requests in flight at once"),
    (note(K.IN_FLIGHT, n=1), "measured with up to 1 request in flight at once"),
    (note(K.OTHER_WORKER), "measured by another worker of this run"),
    (note(K.PERPLEXITY, before=1.649, after=2.718, tokens=3200),
     "perplexity of the base's own replies: 1.65 → 2.72 (3,200 tokens)"),
    (note(K.LOWER_BOUND, top=20, left_out=0.02),
     ("a lower bound: only the 20 likeliest tokens of each model are known, and 2 % of the base's "
      "probability is compared as one")),
    (note(K.NOT_COMPARED, n=5), "5 replies of the base not compared"),
    (note(K.WEAK_BASE, skills=("sums", "copying")),
     "the base is too weak in sums, copying to show a loss there"),
    (note(K.TRAINED_ON, n=40, file="t.jsonl", line=7, first="facts-0"),
     ("40 skills cases stand in t.jsonl (line 7: facts-0) and are left out: what was trained on "
      "shows no forgetting")),
    (note(K.TRAINED_ON, n=1, file="t.jsonl", line=7, first="facts-0"),
     ("1 skills case stands in t.jsonl (line 7: facts-0) and is left out: what was trained on "
      "shows no forgetting")),
    (note(K.NO_SANDBOX, skills=("a", "b")),
     "left out: a, b, since the code of a model cannot be sandboxed on this machine"),
    (note(K.GUESSES, share=0.25),
     ("limits are corrected for lucky guesses, which would be right in 25 % of the cases and hide "
      "as many of the losses")),
    (note(K.LIKE_LABELS, n=3, of=12, labels=2),
     "3 of 12 regressed answers look like this suite's labels (2 are labels, the others invented)"),
    (note(K.LIKE_REPLIES, n=1, of=4), "1 of 4 regressed answers look like its own replies"),
    (note(K.COARSE_LIMIT, **ALL_CASES, limit=0.2, for_10=65, for_5=1210),
     "60 cases can only show drops of 20 points or more; 65 would show 10, 1,210 would show 5"),
    (note(K.NO_LIMIT, **CASES, limit=0.4),
     "60 cases (12 unrelated ones) cannot show that a drop stays below 40 points"),
    (note(K.LIMIT_OR_CASES, needed=10),
     "write max_drop: for the whole of the skills, or add cases: it takes about 10"),
    (note(K.MINIMUM_OR_CASES, needed=10), "write min: 0.8, or add cases: it takes about 10"),
    (note(K.GROUPS_SHOW_NOTHING, **CASES, needed=10),
     "60 cases (12 unrelated ones) show nothing; it takes 10 groups of related cases"),
    (note(K.DROP_NEVER_SHOWN, **ALL_CASES, limit=0.05, needed=59, groups=0, possible=0.14),
     ("max_drop: 0.05 can never be shown with 60 cases, even if every reply is the same; it takes "
      "59 cases, or max_drop: 0.14")),
    (note(K.DROP_NEVER_SHOWN, **CASES, limit=0.02, needed=594, groups=149, possible=0.08),
     ("max_drop: 0.02 can never be shown with 60 cases (12 unrelated ones), even if every reply is "
      "the same; it takes 149 groups like these (594 cases), or max_drop: 0.08")),
    (note(K.MINIMUM_NEVER_SHOWN, **ALL_CASES, limit=0.95, needed=59, possible=0.86),
     ("min: 0.95 can never be shown with 60 cases, even if every reply is right; it takes 59 "
      "cases, or min: 0.86")),
    (note(K.MINIMUM_NEVER_SHOWN, **ALL_CASES, limit=1, needed=0, possible=0.93),
     "min: 1 can never be shown with 60 cases, even if every reply is right; min: 0.93"),
    (note(K.F1_DROP_NEVER_SHOWN, limit=0.02, cases=9, label="refund", labels=2, needed=67,
     possible=0.14),
     ("max_drop: 0.02 can never be shown with 9 cases of refund among 2 labels, even if every "
      "reply is the same; it takes 67 cases of each label, or max_drop: 0.14")),
    (note(K.F1_MINIMUM_NEVER_SHOWN, limit=1.0, cases=9, label="refund", labels=2, needed=0,
     possible=0.86),
     ("min: 1 can never be shown with 9 cases of refund among 2 labels, even if every reply is "
      "right; min: 0.86")),
    (note(K.MARGIN_NEVER_SHOWN, limit=0.1, skills=("facts (6)", "sums (7)"), more=2, needed=25,
     possible=0.17),
     ("a loss of 0.1 can never be ruled out in facts (6), sums (7) and 2 more, even if every reply "
      "is the same; it takes 25 cases of a skill, or a margin of 0.17")),
    (note(K.P95_NEVER_BOUND, n=71, needed=72),
     "71 cases can never bound the 95th percentile; it takes 72"),
    (note(K.MEDIAN_NEVER_BOUND, n=5, needed=6), "5 cases can never bound a median; it takes 6"),
    (note(K.PRICE_NEVER_BOUND, **CASES, needed=30),
     "60 cases (12 unrelated ones) can never bound a mean price; it takes 30 unrelated ones"),
    (note(K.DIVERGENCE_NEVER_BOUND, n=29, needed=30),
     "29 unrelated cases can never bound max_kl; it takes 30: write prompts: skills, or add cases"),
]  # fmt: skip


@every_row("told, words", ROWS)
def test_a_note_is_worded_by_its_kind(told, words):
    assert note_text(told) == words


def test_notes_are_joined_by_semicolons():
    assert notes_text([note(K.SMALL_DROP), text_note("so")]) == f"{ROWS[6][1]}; so"
    assert notes_text([]) == ""


def test_every_kind_of_note_has_a_row():
    assert {told.kind for told, _ in ROWS} == {*NoteKind}


def test_every_kind_of_note_is_made_somewhere():
    package = Path(pytest_ftgate.__file__).parent
    places = [path for path in package.rglob("*.py") if path.parent.name != "reporting"]
    made = {
        node.attr
        for path in places
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "NoteKind"
    }

    assert made == {kind.name for kind in NoteKind}
