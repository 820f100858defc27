"""The words of notes: each kind once."""

from __future__ import annotations

import ast
import re
from pathlib import Path

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
from pytest_ftgate.results.run import from_json, to_json

K = NoteKind
KINDS = [*NoteKind, *FindingKind, *Remedy, *ReplyNote, *IdentityNote, *Cause, *ReasonKind]
CASES = {"cases": 60, "unrelated": 12}
ALL_CASES = {"cases": 60, "unrelated": 0}

#: A row: a note of a verdict, and its words.
VERDICTS: list[tuple[Note, str]] = [
    (text_note("it timed out"), "it timed out"),
    (note(K.FEW_PAIRS, n=0, of=2), "0 of 2 cases can be compared"),
    (note(K.FEW_PAIRS, n=1, of=2),
     "1 of 2 cases can be compared; so few show nothing: add cases"),
    (note(K.TOO_FEW_REPLIES, n=1, of=1),
     "1 of 1 cases brought a reply; so few show nothing: add cases"),
    (note(K.AT_CHANCE, against="current", before=0.5),
     "current is at 50 %, so a drop from it cannot show"),
    (note(K.GUESSED, rate=0.25), "guessing is right in 25 %, so this minimum shows nothing"),
    (note(K.SMALL_DROP), "a real drop, within the limit"),
    (note(K.SMALL_RISE), "a real rise, but smaller than the limit"),
    (note(K.CHANGED_TEXTS, changed=54, of=900, share=0.06, kept=50, regressed=1, fixed=3),
     ("54 of 900 replies have another text (6 %), 50 of them with the same score; 1 regressed, "
      "3 fixed")),
    (note(K.SAME_TEXTS, of=216), "all 216 replies have the same text"),
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
    (note(K.EXPECT_NOTHING, n=1, of=200), "1 of 200 cases expect nothing and are left out"),
    (note(K.LOOK_REPLIES, look=2, of=3, repeats=3),
     "decided at look 2 of 3, after 3 replies to each case"),
    (note(K.LOOK_CASES, look=1, of=2, cases=1000, all=2000),
     "decided at look 1 of 2, after 1,000 of 2,000 cases"),
    (note(K.LOOK_SKILLS, n=426, of=1249),
     "426 of 1,249 questions, a third of each skill, were enough"),
    (note(K.NEEDED_CASES, n=130, of=1216), "asked 130 of 1,216 cases, as many as the gates needed"),
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
    (note(K.UNGRADED, n=3, of=9, first="hm"), "no grade for 3 of 9 replies: hm"),
    (note(K.SAME_OF_ALL, n=400), "the judge says the same of all 400 replies"),
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
    (note(K.NEARLY_ALL_DIFFER, n=600, of=1_000),
     ("600 of 1,000 inputs differ, so that labels of them save little: set a score that normalises "
     "replies, or label a random sample as cases")),
    (note(K.LABELS_OF_NO_REPLY, n=37, of=40, file="shop.pairs.jsonl"),
     ("37 of 40 labels in shop.pairs.jsonl belong to no reply of this run, as those of other "
     "inputs or of another suite")),
    (note(K.LABELS_CONTRADICT, n=4, of=20),
     ("labels contradict themselves in 4 of 20 pairs that were shown twice: make the instruction "
     "clearer, and label again")),
    (note(K.LABELS_CANNOT_SAY, n=7, of=40),
     ("7 of 40 labelled inputs cannot be judged, and a tenth may: make the instruction clearer, or "
     "ask someone who knows")),
    (note(K.LABELS_COULD_TURN, n=2, of=40),
     "2 of 40 labelled inputs cannot be judged, and could change the verdict"),
    (note(K.LABELS_USED_UP, n=41, all=1),
     "all 41 that differ are labelled, and more inputs take a new draw"),
    (note(K.LABELS_USED_UP, n=20, all=0),
     "the 20 labels of the suite are there, and more inputs take a new draw"),
    (note(K.LABELS_WAIT, n=1, look=3), "1 label waits for look 3, and decides nothing before"),
    (note(K.LABELS_BEHIND_GAP, n=22, place=8, id="p31"),
     ("22 labels stand behind one that is missing, and count once input 8 of the draw (p31) is "
     "labelled")),
    (note(K.LABELS_STALE, n=50, of=50, changed="instruction", file="shop.pairs.jsonl"),
     ("50 of 50 labels in shop.pairs.jsonl are of another instruction, and count for nothing: "
     "restore it, or label again")),
    (note(K.LABELLERS_AGREE, people=2, n=38, of=40),
     "2 people agree on 38 of 40 replies that several labelled"),
    (note(K.BASELINE_UNSTEADY, share=0.2),
     "the baseline differs from itself on 20 % of the inputs"),
    (note(K.JUDGE_NEEDS_LABELS, n=200, missing=63),
     "200 labels of a judge count once people label 63 more of the same pairs"),
    (note(K.JUDGE_LABELS, n=200, of=100, share=0.8),
     ("200 labels are of a judge, which shows 80 % of a true change at least, by 100 pairs that "
     "people labelled too; the limit is lowered by that")),
    (note(K.JUDGE_SHOWS_NO_CHANGE, n=200, of=100, share=0.0),
     ("200 labels of a judge count for nothing: on 100 pairs that people labelled too it shows no "
     "change that they see")),
    (note(K.CASES_SHOW_NO_DROP, cases=40, unrelated=0, limit=0.03, possible=0.12),
     "40 cases alone cannot show 3 points, so that accepted results are held to 12 points"),
    (note(K.LOST_RUNS, lost=12, of=60, variant="new"),
     ("12 of 60 replies of new are missing, and what got lost may have been what went wrong")),
    (note(K.COPIES, variant="new"),
     ("the runs of new are copies, with the same text in each run of a task: they show no more "
     "than one run")),
    (note(K.ONLY_THESE, n=12), "about these 12 tasks alone: it says nothing of others like them"),
    (note(K.RUNS_SHOW, tasks=12, runs=5, shown=25, more=10, with_runs=18, twice=24, half=5,
          with_tasks=17),
     ("12 tasks × 5 runs can show a drop of 25 points; 12 × 10 would show 18, and 24 tasks × 5 "
     "17")),
    (note(K.FEW_TASKS, n=2, needed=3),
     "claim: these_tasks needs 3 tasks or more, and there are 2; add tasks"),
    (note(K.CLAIM_THESE, n=12, runs=5),
     ("or write claim: these_tasks, and the verdict is about these 12 alone, whose 5 replies each "
     "are the sample")),
    (note(K.RUNS_NEVER_SHOW, key="max_drop", limit=0.04, tasks=12, runs=5, needed=7, possible=0.05),
     ("max_drop: 0.04 can never be shown with 12 tasks and 5 runs each; "
      "write repeats: 7, or max_drop: 0.05")),
    (note(K.CASES_SHOW_NO_DROP, cases=20, unrelated=0, limit=0.03, possible=0.0),
     "20 cases alone cannot show 3 points, so that accepted results are not compared"),
    (note(K.RARE_THOUGHTS, baseline="plain", share=0.05),
     "plain thinks in 5 % of its replies, so no drop can show"),
    (note(K.FEW_THOUGHTS, n=29, needed=30),
     "both sides think in 29 unrelated cases; 30 are needed"),
    (note(K.FREE_BASELINE, baseline="current"),
     "current costs nothing, so no share of it can be computed"),
    (note(K.UNSEEN_COST, most=0.04, max_tokens=4096, share=0.0304),
     "max_tokens 4,096 lets a case cost 0.04 USD, and up to 3 % of cases may cost that unseen"),
    (note(K.ABOVE_MOST, case="c9", usd=0.002, most=0.001024, max_tokens=1024, where="s.yaml:3"),
     ("case c9 cost 0.002 USD, and max_tokens 1024 lets a case cost 0.001024 at most, so the "
      "server does not keep it; write max_cost_per_case: with the most USD that one case can "
      "cost, in s.yaml:3")),
    (note(K.ABOVE_MOST, case="c9", usd=0.002, most=0.001, max_tokens=0, where="s.yaml:3"),
     ("case c9 cost 0.002 USD, and max_cost_per_case is 0.001; write max_cost_per_case: with the "
      "most USD that one case can cost, in s.yaml:3")),
    (note(K.CLIPPED, most=0.5, over=1, mean=0.0123, cases=("c1", "c2"), largest=(0.71, 0.02)),
     "each reply counts up to 0.5; without that 0.0123; largest: c1 0.71, c2 0.02"),
    (note(K.LARGE_CASE, share=0.12),
     "one case holds 12 % of the cost, so that the mean rests on few of them"),
    (note(K.LARGE_GROUP, share=0.13),
     "one group of related cases holds 13 % of the cost, so that the mean rests on few of them"),
    (note(K.UNPRICED, n=30, of=300, allowed=0.05),
     "30 of 300 cases have no price, and at most 5 % may lack one"),
    (note(K.UNKNOWN_RUNS, n=8, of=40, unit="seconds", allowed=0.05),
     "8 of 40 runs lack a time, and at most 5 % may"),
    (note(K.FEW_RUNS, n=24, noun="run", needed=30),
     "24 runs; at least 30 are needed, since nothing limits what one run may take"),
    (note(K.FEW_RUNS, n=8, noun="task", needed=30),
     ("8 tasks; at least 30 are needed, since nothing limits what one run may take; or write "
      "claim: these_tasks under accuracy, so that the runs are the sample")),
    (note(K.UNSEEN_RUNS, share=0.088, noun="run"),
     "up to 9 % of runs may take far more, unseen: nothing limits what one run may take"),
    (note(K.NOT_SURELY_BEYOND, confidence=0.99),
     "the 95 % CI lies beyond the limit; a failure needs a 99 % CI that does"),
    (note(K.NO_SUCCESS, n=40, rate=0.124, least=1.61),
     ("none of 40 runs succeeded; a success rate of up to 12 % is still possible, and at it a "
      "success costs 1.61 USD")),
    (note(K.NO_SUCCESS_OF, variant="new", baseline="current"),
     "no run of new succeeded, so that a success has no cost"),
    (note(K.NO_TOKENS, n=2, of=98), "2 of 98 replies report no tokens, so they have no price"),
    (note(K.NO_PRICE, n=1, first="gone"), "no reply to 1 case; first: gone"),
    (note(K.NO_TIME, n=9, first="gone"), "no reply to 9 requests; first: gone"),
    (note(K.NOT_REQUESTED, n=1800, of=2000),
     "1,800 of 2,000 replies were not requested in this run"),
    (note(K.BASELINE_NOT_REQUESTED, n=200, of=200, baseline="current"),
     ("200 of 200 replies of current were not requested in this run; request all of them again to "
      "measure it: --ftgate-replies=fresh")),
    (note(K.IN_FLIGHT, n=16), "measured with up to 16 requests in flight at once"),
    (note(K.PERPLEXITY, before=1.649, after=2.718, tokens=3200),
     "perplexity of the base's own replies: 1.65 → 2.72 (3,200 tokens)"),
    (note(K.LOWER_BOUND, top=20, left_out=0.02),
     ("a lower bound: only the 20 likeliest tokens of each model are known, and 2 % of the base's "
      "probability is compared as one")),
    (note(K.NOT_COMPARED, n=5), "5 replies of the base not compared"),
    (note(K.WEAK_BASE, skills=("sums", "copying")),
     "the base scores too low in sums, copying to show a loss there"),
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
    (note(K.GROUP_TOO_LARGE, key="min", limit=0.9, possible=0.34, cases=200, largest=100,
          weight=0.01),
     ("min: 0.9 can never be shown, since one group has 100 of 200 cases; write weight: 0.01 for "
      "each of them, so that the group counts as one case, or min: 0.34")),
    (note(K.NO_LIMIT, **CASES, limit=0.4),
     "60 cases (12 unrelated ones) cannot show that a drop stays below 40 points"),
    (note(K.LIMIT_OR_CASES, needed=10),
     "write max_drop: for the whole of the skills, or add cases: it takes about 10"),
    (note(K.MINIMUM_OR_CASES, needed=14, groups=0, minimum=0.68),
     "write min: 0.68, or add cases: it takes about 14"),
    (note(K.MINIMUM_OR_CASES, needed=175, groups=14, minimum=0.0),
     "add cases: it takes about 14 groups like these (175 cases)"),
    (note(K.LONE_CASE),
     "1 case shows nothing about others; write evidence: point, or add cases"),
    (note(K.WEIGHT_OF_GROUP, cases=100, largest=40, weight=0.03),
     ("one group has 40 of 100 cases; write weight: 0.03 for each of them, so that the group "
      "counts as one case")),
    (note(K.GROUPS_SHOW_NOTHING, **CASES, needed=10),
     "60 cases (12 unrelated ones) show nothing; it takes 10 groups of related cases"),
    (note(K.DROP_NEVER_SHOWN, key="max_drop", **ALL_CASES, limit=0.05, needed=59, groups=0,
          likely=1285, shown=0.13),
     ("max_drop: 0.05 can never be shown with 60 cases; it takes 59 cases if not one gets worse, "
      "1,285 to pass 9 times in 10; or write max_drop: 0.13, which these cases show")),
    (note(K.DROP_NEVER_SHOWN, key="max_change", **CASES, limit=0.02, needed=594, groups=149,
          likely=900, shown=0.0),
     ("max_change: 0.02 can never be shown with 60 cases (12 unrelated ones); "
      "it takes 149 groups like these (594 cases) if not one gets worse, 900 to pass 9 times in "
      "10")),
    (note(K.MINIMUM_NEVER_SHOWN, **ALL_CASES, limit=0.95, needed=59, possible=0.86),
     ("min: 0.95 can never be shown with 60 cases; it takes 59 "
      "cases, all of them right, or min: 0.86")),
    (note(K.MINIMUM_NEVER_SHOWN, **ALL_CASES, limit=1, needed=0, possible=0.93),
     "min: 1 can never be shown with 60 cases; min: 0.93"),
    (note(K.F1_DROP_NEVER_SHOWN, limit=0.02, cases=9, label="refund", labels=2, needed=67,
     possible=0.14),
     ("max_drop: 0.02 can never be shown with 9 cases of refund among 2 labels"
      "; it takes 67 cases of each label, or max_drop: 0.14")),
    (note(K.F1_MINIMUM_NEVER_SHOWN, limit=1.0, cases=9, label="refund", labels=2, needed=0,
     possible=0.86),
     ("min: 1 can never be shown with 9 cases of refund among 2 labels; "
      "min: 0.86")),
    (note(K.MARGIN_NEVER_SHOWN, limit=0.1, skills=("facts (6)", "sums (7)"), more=2, needed=25,
     possible=0.17),
     ("a loss of 0.1 can never be ruled out in facts (6), sums (7) and 2 more; "
      "it takes 25 cases of a skill, or a margin of 0.17")),
    (note(K.P95_NEVER_BOUND, n=71, needed=72),
     "71 cases can never bound the 95th percentile; it takes 72"),
    (note(K.MEDIAN_NEVER_BOUND, n=5, needed=6), "5 cases can never bound a median; it takes 6"),
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
    (note(K.DIVERGENCE_NEVER_SHOWN, limit=0.05, most=0.5, **CASES, needed=180),
     ("60 cases (12 unrelated ones) can never show max_kl 0.05, since one reply may count up to "
      "0.5; it takes 180: write prompts: skills, a smaller clip, or add cases")),
]  # fmt: skip

# Training data

_PAIR = {"earlier": 1, "line": 2}
_LEAK = {"of": 1200, "first": "c7", "line": 5}
_RARE = {"label": "yes", "rows": 1001, "rare": "no", "rare_rows": 50, "times": 20}
_DOUBT = {"line": 61, "label": "pear", "other": "apple"}

FINDINGS = [
    (FindingKind.FEW_ROWS, {"rows": 2, "wanted": 1234},
     "2 rows to learn from, and 1,234 are wanted"),
    (FindingKind.TURNS, {"rows": 2},
     "2 conversations have turns out of order: user and assistant must take turns, the user first"),
    (FindingKind.TOO_LONG, {"rows": 2, "context": 1000},
     "2 rows are longer than the context of 1,000 tokens (estimated as characters / 4)"),
    (FindingKind.UNVERIFIED, {"rows": 2}, "2 synthetic rows name no reviewer"),
    (FindingKind.SENSITIVE,
     {"rows": 2000, "names": ("a password", "an AWS key"), "counts": (2000, 1)},
     "2,000 rows seem to contain a password (2,000), an AWS key (1)"),
    (FindingKind.DUPLICATE, {"rows": 3, **_PAIR},
     "3 rows repeat another; the first is that of line 1, in line 2"),
    (FindingKind.NEAR_DUPLICATE, {"rows": 2, **_PAIR}, ("2 rows nearly repeat another that has "
     "the same answer; the first is that of line 1, in line 2")),
    (FindingKind.CONFLICT, {"questions": 2, "line": 2, "other": 5},
     "2 questions are asked with different answers; the first in lines 2 and 5"),
    (FindingKind.FORMAT, {"answers": 1002, "names": ("preamble", "fenced"), "counts": (1000, 2)},
     "1,002 answers break the format of replies (preamble 1,000, fenced 2)"),
    (FindingKind.THOUGHTS, {"answers": 1}, "1 answer has a thought before it"),
    (FindingKind.MIXED_THOUGHTS, {"answers": 2},
     "2 answers have a thought before it, and the others have none"),
    (FindingKind.MISSING_LABEL, {"count": 2, "labels": ("b", "c"), "more": False},
     "2 labels of the suite without a row: b, c"),
    (FindingKind.MISSING_LABEL, {"count": 6, "labels": ("b", "c"), "more": True},
     "6 labels of the suite without a row: b, c, …"),
    (FindingKind.RARE_LABEL, _RARE,
     "yes has 1,001 rows and no has 50: more than 20 times as many"),
    (FindingKind.DOUBTFUL_LABEL, {"rows": 2, **_DOUBT},
     "2 rows have another label than similar rows; the clearest is line 61: pear, and not apple"),
    (FindingKind.NEW_FACTS, {"answers": 2},
     "2 answers name people, places, dates or numbers that the question does not"),
    (FindingKind.LEAK, {"count": 1100, **_LEAK},
     "1,100 of 1,200 cases appear in the training data; the first is c7, in line 5"),
    (FindingKind.NEAR_LEAK, {"count": 1, **_LEAK},
     ("1 of 1,200 cases appears almost verbatim in the training data; the first is c7, "
     "in line 5")),
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
    (ReplyNote.LANGUAGE, {"share": 0.5, "before": "en", "after": "de"},
     "50 % of replies changed their language, most from en to de"),
    (ReplyNote.ERROR_MIX, {"p": 0.0016},
     "the mix of format errors has changed (Stuart-Maxwell test, p = 0.002)"),
    (ReplyNote.ERROR_MIX, {"p": 0.001},
     "the mix of format errors has changed (Stuart-Maxwell test, p = 0.001)"),
    (ReplyNote.ERROR_MIX, {"p": 0.0002},
     "the mix of format errors has changed (Stuart-Maxwell test, p < 0.001)"),
    (ReplyNote.ERROR_SHARE, {"what": "fenced", "before": 0.05, "after": 0.2},
     "format error “fenced”: 20 % of replies, 5 % before"),
    (ReplyNote.NOT_RETRIEVED, {"count": 1, "of": 80},
     "retrieval: no passage contains the expected answer for 1 of 80 regressed cases"),
    (ReplyNote.BROKEN_FORMATS, {"count": 1000, "of": 2000, "hits": 3, "regressed": 3},
     "1,000 of 2,000 cases broke their format, 3 of the 3 regressed ones among them"),
    (ReplyNote.UNLINKED_FORMATS, {"count": 335, "of": 400, "hits": 15, "regressed": 19},
     ("335 of 400 cases broke their format, regressed ones no more often; the score does not "
      "depend on it")),
]  # fmt: skip

SAME = (
    "the fine-tune answers like its base: 60 of 60 replies are equal; "
    "the base repeats its own in 59 of 60; "
)
COUNTS = {"agree": 60, "of": 60, "base_agrees": 59, "model": "m"}
SWITCH = "extra: {chat_template_kwargs: {enable_thinking: false}}"
LIMIT = "raise max_tokens of the forgetting gate"

IDENTITIES = [
    (IdentityNote.PROVEN, {"differ": 40, "of": 60},
     "identity proven: 40 of 60 replies differ from the base's"),
    (IdentityNote.SAME_BY_ADAPTER, COUNTS, f"{SAME}the adapter has no effect"),
    (IdentityNote.SAME_BY_FILES, COUNTS,
     f"{SAME}a merge without effect, or an exact copy of the base, replies like this"),
    (IdentityNote.SAME_BY_HOST, COUNTS,
     f"{SAME}the fine-tune has no effect, or its base answers in its place"),
    (IdentityNote.SAME_BY_SERVER, COUNTS,
     (f"{SAME}the tuned model may not be loaded (does /v1/models list m, and at which scale is "
     "its adapter?), or the server may apply it to the base as well (is the base the same with "
     "--ftgate-concurrency=1?)")),
    (IdentityNote.SAME_AT_ONE_SERVER, {**COUNTS, "server": "b:1"},
     (f"{SAME}these are the replies of b:1, and those of the other servers differ: give it the "
     "same model, or take it out of base_url")),
    (IdentityNote.SAME_AS_RECORDED, {"agree": 30, "of": 30},
     "the fine-tune answers like its base: 30 of 30 replies equal those of the base"),
    (IdentityNote.BASE_VARIES, COUNTS,
     ("identity not proven: 60 of 60 replies are equal; the base repeats its own in "
      "59 of 60")),
    (IdentityNote.BASE_RECORDED, {"agree": 29, "of": 30},
     "identity not proven, its base is recorded: 29 of 30 replies equal those of the base"),
    (IdentityNote.FEW_REPLIES, {"count": 2, "needed": 30},
     "identity not proven: 2 replies, 30 are needed"),
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
    (IdentityNote.OTHER_PARENT, {"parent": "more", "base": "base"},
     "the server lists more as its parent, declared base base"),
    (IdentityNote.BROKEN_SCHEMA, {"broken": 1, "of": 20, "whole": True},
     "the schema is broken in 1 of 20 whole replies"),
    (IdentityNote.IGNORED_SCHEMA, {"broken": 1, "of": 2, "whole": False},
     "the schema is broken in 1 of 2 replies: the server did not enforce it"),
    (IdentityNote.NO_TEMPERATURE, {"temperature": 1.0, "cases": 30},
     "temperature 1 shows no effect: 30 cases have equal repeats"),
    (IdentityNote.NO_SEED, {"seed": 3, "requests": 5},
     "seed 3 has no effect: none of 5 repeated requests brought an equal reply"),
    (IdentityNote.REJECTED, {"model": "m", "setting": "seed"},
     "m takes no seed; the replies came without it"),
    (IdentityNote.REPLACED, {"model": "m", "setting": "output_config"},
     "m takes no output_config; a tool that it must use stood in for it"),
    (IdentityNote.RETIRES, {"model": "m", "date": "2027-01-22"}, "m retires on 2027-01-22"),
    (IdentityNote.FAILED_SERVER, {"server": "b:1", "reason": "500 full"},
     "b:1 failed, and the other servers replied: 500 full"),
    (IdentityNote.SKILL_USED, {"skill": "pdf", "used": 14, "of": 15, "untraced": 0},
     "skill pdf was used in 14 of 15 runs"),
    (IdentityNote.SKILL_USED, {"skill": "pdf", "used": 1, "of": 1, "untraced": 2},
     "skill pdf was used in 1 of 1 run; 2 more have no trace"),
    (IdentityNote.SKILL_UNUSED, {"skill": "pdf", "of": 15, "others": (), "hint": ""},
     "skill pdf was used in 0 of 15 runs: their traces name no skill"),
    (IdentityNote.USE_UNKNOWN, {"skill": "pdf", "of": 15},
     "no trace says which skills 15 runs read: the use of pdf is not checked"),
    (IdentityNote.NO_SKILL_USED, {"arm": "with_skill", "of": 15},
     "with_skill used a skill in 0 of 15 runs that have a trace"),
    (IdentityNote.BASELINE_DRIFTED, {"before": 0.9, "after": 0.725, "cases": 40},
     "the recorded baseline has drifted: 90 % → 72 % on 40 repeated cases; it is not compared"),
]  # fmt: skip

ENDED = {"count": 18, "of": 20}
TRAINED = "its chat template or its end token may differ from those in training"

CAUSES = [
    (Cause.TEMPLATE, {"difference": "after “a” …"}, "another chat template: after “a” …"),
    (Cause.SCALE, {"times": 2.0},
     "the adapter has 2 times the weight of its training; remove scale"),
    (Cause.CONVERTED_SCALE, {"file": "a.gguf", "times": 0.35355},
     ("a.gguf has 0.354 times the weight of its training, by the adapter_config.json beside it; "
      "name the folder as adapter, or convert it again")),
    (Cause.SERVED_SCALE, {"scale": "2"},
     ("the server applies its adapter at scale 2; start it with --lora instead of --lora-scaled, "
      "or write extra: {lora: [{id: 0, scale: 1}]}")),
    (Cause.OTHER_BASE, {"base": "old", "model": "m.gguf"},
     ("the adapter was trained on old, and the model is m.gguf; check that these are the same "
      "weights")),
    (Cause.QUANTISED, {"model": "m.gguf", "type": "Q4_0"},
     "m.gguf is quantised to Q4_0; a file of 8 or 16 bits shows what that costs"),
    (Cause.ENDS_AT_ONCE, ENDED, f"18 of 20 replies are empty: the model ends at once; {TRAINED}"),
    (Cause.EMPTY, ENDED,
     "18 of 20 replies are empty: look at stop: and at the server's chat template"),
    (Cause.RUNS_ON, ENDED, ("18 of 20 replies give an answer and run on to max_tokens: "
     f"the model does not end; {TRAINED}")),
    (Cause.GOES_ON, ENDED,
     ("18 of 20 replies give an answer and run on to max_tokens: ask for the answer and nothing "
      "else, or set stop:")),
    (Cause.CUT_OFF, {**ENDED, "before": 0.2},
     f"18 of 20 replies run to max_tokens, 20 % before: the model may not end; {TRAINED}"),
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

REASONS = [
    (note("worth it", **GAP, required=0.05),
     f"{GAP_TEXT}; a gain of 5 points or more is worth it alone"),
    (note("good and cheaper", **GAP), f"{GAP_TEXT}: as good, and cheaper"),
    (note("gain too small", **GAP, required=0.1), f"{GAP_TEXT}, worth it from 10 points"),
    # A gain, a rate or an interval that would read like its limit has a decimal.
    (note("gain too small", **{**GAP, "change": 0.0984}, required=0.1),
     "t 93 % against b 85 %: up 9.8 points (95 % CI 5.0 to 11.0), worth it from 10 points"),
    (note("minimum", variant="b", accuracy=0.846, minimum=0.85, change=-0.004),
     "b is right in 84.6 %, the suite requires 85 %: −0.4 points"),
    (note("accuracy", variant="b", accuracy=0.88, low=0.846, high=0.9, minimum=0.85),
     "b is right in 88.0 % (95 % CI 84.6 to 90.0 %); the minimum is 85 %"),
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
     "m retires in 29 days, on 2026-12-24: compare its successor"),
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
    (note("format errors", **BROKEN), BROKEN_TEXT),
    (note("unmeasured", variant="t", reason=text_note("no key {x}")),
     "t could not be measured: no key {x}"),
    (note("unscored", variants=("t", "u")), "without an accuracy, and so not climbed: t, u"),
    (note("held-out unsent", variant="t", reason="no key"),
     "the held-out cases could not be sent to t: no key"),
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


def test_notes_are_joined_by_semicolons():
    assert notes_text([note(K.SMALL_DROP), text_note("so")]) == (
        "a real drop, within the limit; so"
    )
    assert notes_text([]) == ""


def test_every_kind_of_note_has_words_and_a_name_of_its_own():
    fixed = {*KINDS} - {told.kind for told, _ in ROWS}

    # What is in no row has no values, so that its words are always the same.
    assert [kind for kind in fixed if re.search(r"[{}]|^$", note_text(note(kind)))] == []
    assert len({*KINDS}) == len(KINDS)


def test_every_verb_of_a_template_has_its_form_for_one_first():
    verbs = re.findall(r"\{\w+:(\w+)/(\w+)\}", Path(notes.__file__).read_text("utf-8"))

    assert len(verbs) > 10
    for one, more in {*verbs} - {("is", "are"), ("has", "have")}:
        assert one == f"{more}s" or more == f"{one}s", (one, more)


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
