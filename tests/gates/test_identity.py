from dataclasses import replace

import pytest

from pytest_ftgate.gates.identity import (
    check_served_model,
    compare_with_base,
    compare_with_recorded_base,
    identity_facts,
    server_notices,
)
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest, Request
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


def case_request(case: str, fingerprint: str) -> CaseRequest:
    request = Request(
        fingerprint=fingerprint,
        provider="x",
        model="claude-haiku-5-5",
        messages=(),
        max_tokens=1,
        sampling={},
    )
    return CaseRequest(Case(id=case, location="c:1", score=Rule("exact")), 0, request)


def compare(n: int, *, differing: int, unsteady: int = 0):
    cases = [f"{i:03}" for i in range(n)]
    results = {}
    for i, case in enumerate(cases):
        base = f"{case} is the reply"
        results[f"base{case}"] = Reply(text=base)
        results[f"again{case}"] = Reply(text=f"No, {base}" if i < unsteady else base)
        results[f"tuned{case}"] = Reply(text="label" if i >= n - differing else base)
    probes = [
        [case_request(case, f"{variant}{case}") for case in cases]
        for variant in ("tuned", "base", "again")
    ]
    return compare_with_base(probes, results)


def compare_replies(tuned: Reply, base: Reply, n: int = 60, whole: int = 0):
    """Compare *n* cases, of which *whole* have answers that tell the models apart."""
    cases = [f"{i:03}" for i in range(n)]
    results = {}
    for i, case in enumerate(cases):
        for variant, reply in (("tuned", tuned), ("base", base), ("again", base)):
            whole_text = "label" if variant == "tuned" else "The reply."
            results[f"{variant}{case}"] = Reply(text=whole_text) if i < whole else reply
    probes = [
        [case_request(case, f"{variant}{case}") for case in cases]
        for variant in ("tuned", "base", "again")
    ]
    return compare_with_base(probes, results)


CUT_OFF = "60 of 60 replies were cut off without an answer"
RAISE = "raise max_tokens of the forgetting gate"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (
            Reply(text="", stop="length", thought="The user"),
            f"{CUT_OFF}; the model thinks; {RAISE}",
        ),
        (Reply(text="<think>The user", stop="length"), f"{CUT_OFF}; the model thinks; {RAISE}"),
        (Reply(text="", stop="length"), f"{CUT_OFF}; {RAISE}"),
        (Reply(text=" "), "60 of 60 replies are empty"),
    ],
    ids=["beside the text", "in the text", "no thought", "empty"],
)
def test_replies_without_an_answer_are_no_evidence(reply: Reply, reason: str) -> None:
    identity = compare_replies(reply, reply)

    assert identity.outcome is Outcome.INCONCLUSIVE
    assert identity.message == f"adapter not proven: {reason}"


def test_the_replies_that_have_an_answer_still_prove_the_tuned_model() -> None:
    cut_off = Reply(text="", stop="length", thought="The user")

    assert compare_replies(cut_off, cut_off, whole=8).outcome is Outcome.PASSED


def test_the_thoughts_of_a_model_are_not_compared() -> None:
    thoughts = [Reply(text=f"<think>{text}</think>Tokyo") for text in ("Let me see.", "Okay.")]

    assert compare_replies(*thoughts).outcome is Outcome.INVALID


def test_a_tuned_model_that_only_goes_on_or_ends_earlier_is_another_model() -> None:
    short, long = Reply(text="Tokyo"), Reply(text="Tokyo.")

    for tuned, base in ((long, short), (short, long)):
        found = compare_replies(tuned, base)
        assert found.message == "identity proven: 60 of 60 replies differ from the base model's"


def test_different_replies_prove_the_tuned_model() -> None:
    assert compare(60, differing=40).outcome is Outcome.PASSED


def test_replies_equal_to_the_bases_are_invalid_and_counted() -> None:
    identity = compare(60, differing=0)

    assert identity.outcome is Outcome.INVALID
    assert "60 of 60" in identity.message


def test_a_few_differences_as_batching_causes_prove_nothing() -> None:
    assert compare(60, differing=7).outcome is Outcome.INVALID
    assert compare(60, differing=8).outcome is Outcome.PASSED


def test_with_a_base_that_varies_as_much_the_result_is_inconclusive() -> None:
    assert compare(60, differing=20, unsteady=40).outcome is Outcome.INCONCLUSIVE


def test_fifteen_replies_prove_a_tuned_model_but_never_disprove_it() -> None:
    assert compare(15, differing=8).outcome is Outcome.PASSED
    assert compare(15, differing=7).outcome is Outcome.INCONCLUSIVE
    assert compare(29, differing=0).outcome is Outcome.INCONCLUSIVE


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
    results = {"f": Reply(text="x", model=served)}

    assert check_served_model([case_request("a", "f")], results).outcome is outcome


@pytest.mark.parametrize(
    ("changed", "outcome", "said"),
    [
        (0, Outcome.INVALID, "no different from the base model's: 30 of 30 replies"),
        (1, Outcome.INCONCLUSIVE, "its base is recorded: 29 of 30 replies"),
    ],
)
def test_a_recorded_base_disproves_a_tuned_model_and_never_proves_it(changed, outcome, said):
    cases = [f"{i:03}" for i in range(30)]
    results = {f"base{case}": Reply(text="x") for case in cases}
    results |= {
        f"tuned{case}": Reply(text="y" if i < changed else "x") for i, case in enumerate(cases)
    }
    probes = [[case_request(case, f"{name}{case}") for case in cases] for name in ("tuned", "base")]

    found = compare_with_recorded_base(probes, results)

    assert found.outcome is outcome
    assert said in found.message


def test_too_few_replies_beside_a_recorded_base_are_said_to_be_missing():
    probes = [[case_request("a", name)] for name in ("tuned", "base")]

    found = compare_with_recorded_base(probes, {"base": Reply(text="x")})

    assert found.outcome is Outcome.INCONCLUSIVE
    assert "tuned model not proven" in found.message


@pytest.mark.parametrize(
    ("provider", "cause"),
    [
        ("x", "the adapter has no effect"),
        ("llamacpp", "a merge without effect answers so, and an exact copy"),
        ("openai-compatible", "the tuned model may not be loaded (does /v1/models list m"),
    ],
)
def test_why_the_replies_are_those_of_the_base_depends_on_what_serves_them(provider, cause):
    cases = [f"{i:03}" for i in range(60)]
    probes = [
        [
            replace(made, request=replace(made.request, provider=provider, model="m"))
            for made in (case_request(case, case) for case in cases)
        ]
        for _ in range(3)
    ]

    found = compare_with_base(probes, {case: Reply(text="x") for case in cases})

    assert found.outcome is Outcome.INVALID
    assert cause in found.message


def test_only_settings_that_the_suite_declares_are_said_to_be_rejected():
    made = [case_request("a", "f")]
    results = {"f": Reply(text="x", unsent=("seed", "top_k"))}

    notices = [notice.message for notice in server_notices(made, results, {"seed"})]

    assert len(notices) == 1
    assert "takes no seed" in notices[0]


def test_a_variant_without_requests_has_no_facts_and_a_hosted_one_no_adapter():
    assert identity_facts([], {}) == {}
    facts = identity_facts([case_request("a", "f")], {"f": Reply(text="x", facts={"retires": "y"})})

    assert "adapter" not in facts
    assert facts["retires"] == "y"
