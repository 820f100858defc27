from dataclasses import replace

from columns import column, suite

from pytest_ftgate.gates.rates import Sides, judge_rate
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Passage
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.suite.model import RateGate

GOOD, BAD = [1.0] * 200, [0.0] * 80 + [1.0] * 120


def retrieving(texts: dict[str, str]) -> Column:
    """Make a column of which the first 80 are lost; each case has the passage that it names."""
    plain = column("new", BAD)
    rows = {
        key: replace(row, replies=(Reply(text="no", passages=passage(texts.get(key, ""))),))
        for key, row in plain.rows.items()
    }
    return Column("new", rows)


def passage(text: str) -> tuple[Passage, ...]:
    return (Passage(source="a.md", text=text),) if text else ()


def judged(mine: Column, kind: str = "accuracy") -> Verdict:
    gate = RateGate(kind=kind, line=7, max_drop=0.05)
    return judge_rate(suite(gate), gate, Sides(mine, column("current", GOOD)))


def retrieval_notes(verdict: Verdict) -> list[str]:
    return [note for note in verdict.notes if note.startswith("retrieval:")]


def test_lost_cases_without_the_answer_in_a_passage_are_counted() -> None:
    verdict = judged(retrieving({"c000": "It is right.", "c001": "It is wrong."}))

    assert retrieval_notes(verdict) == [
        "retrieval: the expected answer stands in no passage for 79 of 80 lost cases"
    ]


def test_a_retriever_that_found_every_answer_is_not_blamed() -> None:
    verdict = judged(retrieving({f"c{n:03}": "It is right." for n in range(80)}))

    assert retrieval_notes(verdict) == []


def test_a_lost_case_carries_its_passages_and_where_the_answer_is() -> None:
    verdict = judged(retrieving({"c000": "It is right.", "c001": "It is wrong."}))

    assert [(one.passages, one.answered_in) for one in verdict.flips[:3]] == [
        (("a.md: It is right.",), 1),
        (("a.md: It is wrong.",), 0),
        ((), 0),
    ]


def test_without_retrieval_nothing_is_said_of_it() -> None:
    verdict = judged(column("new", BAD))

    assert retrieval_notes(verdict) == []
    assert {(one.passages, one.answered_in) for one in verdict.flips} == {((), None)}


def test_the_format_of_a_reply_is_no_matter_of_retrieval() -> None:
    assert retrieval_notes(judged(retrieving({"c000": "It is wrong."}), "format")) == []
