from dataclasses import replace

from ftgate_testing.score_columns import suite, variant_scores

from pytest_ftgate.gates.notes import Note, ReplyNote, note
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.regressions import answer_rank, passage_heads
from pytest_ftgate.gates.regressions import retrieval_notes as retrieval_notes_of
from pytest_ftgate.gates.verdict import Verdict
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Passage
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate

GOOD, BAD = [1.0] * 200, [0.0] * 80 + [1.0] * 120


def retrieving(texts: dict[str, str]) -> VariantScores:
    """Make scores of which the first 80 are lost; each case has the passage that it names."""
    plain = variant_scores("new", BAD)
    rows = {
        key: replace(row, replies=(Reply(text="no", passages=passage(texts.get(key, ""))),))
        for key, row in plain.results.items()
    }
    return VariantScores("new", rows)


def passage(text: str) -> tuple[Passage, ...]:
    return (Passage(source="a.md", text=text),) if text else ()


def evaluated(mine: VariantScores, kind: str = "accuracy") -> Verdict:
    gate = RateGate(kind=kind, line=7, max_drop=0.05)
    return evaluate_rate(suite(gate), gate, Comparison(mine, variant_scores("current", GOOD)))


def retrieval_notes(verdict: Verdict) -> list[Note]:
    return [one for one in verdict.notes if one.kind == ReplyNote.NOT_RETRIEVED]


def missed(count: int, of: int) -> Note:
    return note(ReplyNote.NOT_RETRIEVED, count=count, of=of)


def test_regressed_cases_without_the_answer_in_a_passage_are_counted() -> None:
    verdict = evaluated(retrieving({"c000": "It is right.", "c001": "It is wrong."}))

    assert retrieval_notes(verdict) == [missed(79, 80)]

    verdict = evaluated(retrieving({f"c{n:03}": "It is right." for n in range(80)}))

    assert retrieval_notes(verdict) == []

    verdict = evaluated(variant_scores("new", BAD))

    assert retrieval_notes(verdict) == []
    assert {(one.passages, one.answered_in) for one in verdict.flips} == {((), None)}

    assert retrieval_notes(evaluated(retrieving({"c000": "It is wrong."}), "format")) == []


def test_a_regressed_case_carries_the_heads_of_its_passages_and_where_the_answer_is() -> None:
    verdict = evaluated(retrieving({"c000": "It is right.", "c001": "It is wrong."}))

    assert [(one.passages, one.answered_in) for one in verdict.flips[:3]] == [
        (("a.md: It is right.",), 1),
        (("a.md: It is wrong.",), 0),
        ((), 0),
    ]

    found = with_passages(
        Passage(source="a.md", text="x" * 200), Passage(source="", text="no source: here")
    )

    assert passage_heads(found) == ("a.md: " + "x" * 114, "no source: here")
    assert passage_heads(replace(found, replies=())) == ()


def with_passages(*passages: Passage) -> CaseResult:
    (result,) = variant_scores("new", [1.0]).results.values()
    return replace(result, replies=(Reply(text="no", passages=passages), Reply(text="no")))


def test_the_rank_of_the_answer_is_that_of_the_first_passage_with_it() -> None:
    passages = ["nothing", "it is right", "so right"]

    found = with_passages(*(Passage(source="a.md", text=text) for text in passages))

    assert answer_rank(found) == 2
    assert answer_rank(with_passages()) == 0
    unknown = replace(found, case=replace(found.case, expected=None))
    assert answer_rank(unknown) is None

    (result,) = variant_scores("new", [1.0]).results.values()

    assert answer_rank(replace(result, replies=(), scores=())) is None


def test_only_regressed_cases_of_the_accuracy_gate_with_a_rank_are_counted() -> None:
    found = retrieving({"c000": "It is wrong.", "c001": "It is right."})
    gate = RateGate(kind="accuracy", line=7, max_drop=0.05)

    assert [*retrieval_notes_of(gate, found, ["c000"])] == [missed(1, 1)]
    assert [*retrieval_notes_of(gate, found, ["c001"])] == []
    other = replace(gate, kind="format")
    assert [*retrieval_notes_of(other, found, ["c000"])] == []
    assert [*retrieval_notes_of(gate, variant_scores("new", BAD), ["c000"])] == []

    found = retrieving({"c000": "It is wrong."})
    unknown = found.results["c001"]
    rows = {**found.results, "c001": replace(unknown, case=replace(unknown.case, expected=None))}
    gate = RateGate(kind="accuracy", line=7, max_drop=0.05)

    notes = retrieval_notes_of(gate, VariantScores("new", rows), ["c000", "c001", "c002"])

    assert [*notes] == [missed(2, 2)]
