import pytest

from pytest_ftgate.gates.identity import prove, served_model
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Ask, Call
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


def ask(case: str, fingerprint: str) -> Ask:
    call = Call(
        fingerprint=fingerprint,
        provider="x",
        model="claude-haiku-5-5",
        messages=(),
        max_tokens=1,
        sampling={},
    )
    return Ask(Case(id=case, where="c:1", score=Rule("exact")), 0, call)


def proof(n: int, *, differing: int, unsteady: int = 0):
    cases = [f"{i:03}" for i in range(n)]
    answers = {}
    for i, case in enumerate(cases):
        base = f"{case} is the reply"
        answers[f"base{case}"] = Reply(text=base)
        answers[f"again{case}"] = Reply(text=f"No, {base}" if i < unsteady else base)
        answers[f"tuned{case}"] = Reply(text="label" if i >= n - differing else base)
    probes = [[ask(case, f"{who}{case}") for case in cases] for who in ("tuned", "base", "again")]
    return prove(probes, answers)


def test_replies_that_differ_prove_the_tuned_model() -> None:
    assert proof(60, differing=40).outcome is Outcome.PASSED


def test_replies_that_are_the_bases_own_are_invalid_and_counted() -> None:
    found = proof(60, differing=0)

    assert found.outcome is Outcome.INVALID
    assert "60 of 60" in found.sentence


def test_so_few_differing_replies_as_batching_makes_prove_nothing() -> None:
    assert proof(60, differing=5).outcome is Outcome.INVALID
    assert proof(60, differing=6).outcome is Outcome.PASSED


def test_a_base_that_varies_as_much_as_the_variant_differs_proves_nothing() -> None:
    assert proof(60, differing=20, unsteady=40).outcome is Outcome.INCONCLUSIVE


def test_fewer_than_thirty_replies_prove_nothing() -> None:
    assert proof(29, differing=29).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("served", "outcome"),
    [
        ("claude-haiku-5-5", Outcome.PASSED),
        ("claude-haiku-5-5-20261001", Outcome.PASSED),
        (None, Outcome.PASSED),
        ("claude-haiku-5", Outcome.INVALID),
        ("claude-opus-5-5", Outcome.INVALID),
    ],
)
def test_the_served_model_must_be_the_declared_one(served: str | None, outcome: Outcome) -> None:
    answers = {"f": Reply(text="x", model=served)}

    assert served_model([ask("a", "f")], answers).outcome is outcome
