"""The words of findings in training data, and of what to do about them."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.gates.notes import FindingKind, Remedy, note
from pytest_ftgate.reporting.notes import FINDING_WORDS, note_text


def test_every_kind_of_finding_and_every_remedy_has_words():
    assert {*FINDING_WORDS} == {*FindingKind, *Remedy}


def test_a_finding_and_a_remedy_never_have_the_same_kind():
    assert not {*FindingKind} & {*Remedy}


_PAIR = {"earlier": 1, "line": 2}
_LEAK = {"of": 1200, "first": "c7", "line": 5}
_RARE = {"label": "yes", "rows": 1001, "rare": "no", "rare_rows": 50, "times": 20}
_DOUBT = {"line": 61, "label": "pear", "other": "apple"}


@every_row("kind, values, text", [
    (FindingKind.FEW_ROWS, {"rows": 2, "wanted": 1234},
     "2 rows to learn from, and 1,234 are wanted"),
    (FindingKind.TURNS, {"rows": 1},
     "1 conversation has turns out of order: user and assistant must take turns, the user first"),
    (FindingKind.TURNS, {"rows": 2},
     "2 conversations have turns out of order: user and assistant must take turns, the user first"),
    (FindingKind.TOO_LONG, {"rows": 1, "context": 1000},
     "1 row is longer than the context of 1,000 tokens (estimated as characters / 4)"),
    (FindingKind.TOO_LONG, {"rows": 2, "context": 1000},
     "2 rows are longer than the context of 1,000 tokens (estimated as characters / 4)"),
    (FindingKind.UNVERIFIED, {"rows": 1}, "1 synthetic row names no reviewer"),
    (FindingKind.UNVERIFIED, {"rows": 2}, "2 synthetic rows name no reviewer"),
    (FindingKind.SENSITIVE, {"rows": 1, "names": ("a password",), "counts": (1,)},
     "1 row seems to contain a password (1)"),
    (FindingKind.SENSITIVE,
     {"rows": 2000, "names": ("a password", "an AWS key"), "counts": (2000, 1)},
     "2,000 rows seem to contain a password (2,000), an AWS key (1)"),
    (FindingKind.DUPLICATE, {"rows": 1, **_PAIR},
     "1 row repeats another; the first is that of line 1, in line 2"),
    (FindingKind.DUPLICATE, {"rows": 3, **_PAIR},
     "3 rows repeat another; the first is that of line 1, in line 2"),
    (FindingKind.NEAR_DUPLICATE, {"rows": 1, **_PAIR}, ("1 row nearly repeats another that has "
     "the same answer; the first is that of line 1, in line 2")),
    (FindingKind.NEAR_DUPLICATE, {"rows": 2, **_PAIR}, ("2 rows nearly repeat another that has "
     "the same answer; the first is that of line 1, in line 2")),
    (FindingKind.CONFLICT, {"questions": 1, "line": 1, "other": 2},
     "1 question is asked with different answers; the first in lines 1 and 2"),
    (FindingKind.CONFLICT, {"questions": 2, "line": 2, "other": 5},
     "2 questions are asked with different answers; the first in lines 2 and 5"),
    (FindingKind.FORMAT, {"answers": 1, "names": ("python",), "counts": (1,)},
     "1 answer breaks the format of replies (python 1)"),
    (FindingKind.FORMAT, {"answers": 1002, "names": ("preamble", "fenced"), "counts": (1000, 2)},
     "1,002 answers break the format of replies (preamble 1,000, fenced 2)"),
    (FindingKind.THOUGHTS, {"answers": 1}, "1 answer has a thought before it"),
    (FindingKind.MIXED_THOUGHTS, {"answers": 2},
     "2 answers have a thought before it, and the others have none"),
    (FindingKind.MISSING_LABEL, {"count": 1, "labels": ("b",), "more": False},
     "1 label of the suite without a row: b"),
    (FindingKind.MISSING_LABEL, {"count": 2, "labels": ("b", "c"), "more": False},
     "2 labels of the suite without a row: b, c"),
    (FindingKind.MISSING_LABEL, {"count": 6, "labels": ("b", "c"), "more": True},
     "6 labels of the suite without a row: b, c, …"),
    (FindingKind.RARE_LABEL, _RARE,
     "yes has 1,001 rows and no has 50: more than 20 times as many"),
    (FindingKind.DOUBTFUL_LABEL, {"rows": 1, **_DOUBT},
     "1 row has another label than similar rows; the clearest is line 61: pear, and not apple"),
    (FindingKind.DOUBTFUL_LABEL, {"rows": 2, **_DOUBT},
     "2 rows have another label than similar rows; the clearest is line 61: pear, and not apple"),
    (FindingKind.NEW_FACTS, {"answers": 1},
     "1 answer names people, places, dates or numbers that the question does not"),
    (FindingKind.NEW_FACTS, {"answers": 2},
     "2 answers name people, places, dates or numbers that the question does not"),
    (FindingKind.LEAK, {"count": 1, **_LEAK},
     "1 of 1,200 cases stands in the training data; the first is c7, in line 5"),
    (FindingKind.LEAK, {"count": 1100, **_LEAK},
     "1,100 of 1,200 cases stand in the training data; the first is c7, in line 5"),
    (FindingKind.NEAR_LEAK, {"count": 1, **_LEAK},
     "1 of 1,200 cases stands nearly in the training data; the first is c7, in line 5"),
    (Remedy.REMOVE, {}, "remove them"),
    (Remedy.REVIEW, {}, 'have someone read them, and write "verified_by" beside each'),
])  # fmt: skip
def test_a_finding_is_worded_by_its_kind_and_its_values(kind, values, text):
    assert note_text(note(kind, **values)) == text
