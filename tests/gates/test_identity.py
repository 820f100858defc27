from dataclasses import replace
from pathlib import Path

import pytest

from pytest_ftgate.gates.identity import (
    IdentityResult,
    check_served_model,
    compare_with_base,
    compare_with_recorded_base,
    identity_facts,
    server_notices,
)
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter, CaseRequest, Request
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
    assert identity.message == f"tuned model not proven: {reason}"


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


SAME = "replies no different from the base model's"
NO_EFFECT = "the adapter has no effect"
HOSTED = "the fine-tune has no effect, or its base answers in its place"


@pytest.mark.parametrize(
    ("made", "outcome", "message"),
    [
        (
            {"n": 60, "differing": 40},
            Outcome.PASSED,
            "identity proven: 40 of 60 replies differ from the base model's",
        ),
        (
            {"n": 60, "differing": 0},
            Outcome.INVALID,
            (
                f"{SAME}: 60 of 60 replies are the base model's; "
                f"the base repeats itself on 60 of 60; {HOSTED}"
            ),
        ),
        (
            {"n": 30, "differing": 7},
            Outcome.INVALID,
            (
                f"{SAME}: 23 of 30 replies are the base model's; "
                f"the base repeats itself on 30 of 30; {HOSTED}"
            ),
        ),
        (
            {"n": 29, "differing": 7},
            Outcome.INCONCLUSIVE,
            "tuned model not proven: 29 replies, 30 are needed",
        ),
        (
            {"n": 60, "differing": 20, "unsteady": 30},
            Outcome.INVALID,
            (
                f"{SAME}: 40 of 60 replies are the base model's; "
                f"the base repeats itself on 30 of 60; {HOSTED}"
            ),
        ),
        (
            {"n": 60, "differing": 20, "unsteady": 31},
            Outcome.INCONCLUSIVE,
            (
                "tuned model not proven: 40 of 60 replies are the base model's; "
                "the base repeats itself on 29 of 60"
            ),
        ),
    ],
)
def test_what_replies_show_about_a_tuned_model_is_counted(made, outcome, message) -> None:
    assert compare(**made) == IdentityResult(outcome, message)


def test_only_cases_with_all_three_replies_are_compared() -> None:
    cases = [f"{i:03}" for i in range(40)]
    results = {
        f"{variant}{case}": Reply(text=f"{case} is the reply")
        for variant in ("tuned", "base", "again")
        for case in cases
    }
    for number, variant in enumerate(("tuned", "base", "again")):
        del results[f"{variant}{cases[number]}"]
    probes = [
        [case_request(case, f"{variant}{case}") for case in cases]
        for variant in ("tuned", "base", "again")
    ]

    assert "37 of 37 replies are the base" in compare_with_base(probes, results).message


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
    ("provider", "remedy"),
    [
        ("anthropic", ", or write thinking: {type: disabled}"),
        ("openai-compatible", ", or write extra: {chat_template_kwargs: {enable_thinking: false}}"),
        ("x", ""),
    ],
)
def test_the_remedy_for_thoughts_is_what_the_provider_takes(provider, remedy) -> None:
    cut_off = Reply(text="", stop="length", thought="The user")
    cases = [f"{i:03}" for i in range(4)]
    requests = [case_request(case, case) for case in cases]
    requests = [replace(one, request=replace(one.request, provider=provider)) for one in requests]
    thinking = dict.fromkeys(cases[:3], cut_off) | {"003": Reply(text="Tokyo")}
    cause = f"3 of 4 replies were cut off without an answer; the model thinks; {RAISE}{remedy}"

    assert compare_with_base([requests] * 3, thinking) == IdentityResult(
        Outcome.INCONCLUSIVE, f"tuned model not proven: {cause}"
    )
    assert compare_with_recorded_base([requests] * 2, thinking) == IdentityResult(
        Outcome.INCONCLUSIVE, f"tuned model not proven, its base is recorded: {cause}"
    )


def test_as_many_replies_with_an_answer_as_without_are_only_too_few() -> None:
    cut_off = Reply(text="", stop="length")
    requests = [case_request(case, case) for case in "abcd"]
    results = dict.fromkeys("ab", cut_off) | dict.fromkeys("cd", Reply(text="x"))

    assert compare_with_base([requests] * 3, results).message == (
        "tuned model not proven: 2 replies, 30 are needed"
    )
    assert compare_with_recorded_base([requests] * 2, results).message == (
        "tuned model not proven, its base is recorded: 2 of 2 replies equal those of the base"
    )


def test_a_case_counts_as_unanswered_if_one_of_its_replies_has_no_answer() -> None:
    mine, base = ([case_request(case, f"{side}{case}") for case in "abc"] for side in ("m", "b"))
    results = {f"b{case}": Reply(text="x") for case in "abc"}
    results |= {"ma": Reply(text="x"), "mb": Reply(text=""), "mc": Reply(text=" ")}

    assert compare_with_base([mine, base, base], results).message == (
        "tuned model not proven: 2 of 3 replies are empty"
    )


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
        (
            0,
            Outcome.INVALID,
            f"{SAME}: 30 of 30 replies equal those of the base",
        ),
        (
            1,
            Outcome.INCONCLUSIVE,
            (
                "tuned model not proven, its base is recorded: 29 of 30 replies equal those of the "
                "base"
            ),
        ),
    ],
)
def test_a_recorded_base_disproves_a_tuned_model_and_never_proves_it(changed, outcome, said):
    cases = [f"{i:03}" for i in range(30)]
    results = {f"base{case}": Reply(text="x") for case in cases}
    results |= {
        f"tuned{case}": Reply(text="y" if i < changed else "x") for i, case in enumerate(cases)
    }
    probes = [[case_request(case, f"{name}{case}") for case in cases] for name in ("tuned", "base")]

    assert compare_with_recorded_base(probes, results) == IdentityResult(outcome, said)


def test_too_few_replies_beside_a_recorded_base_are_said_to_be_missing():
    probes = [[case_request("a", name)] for name in ("tuned", "base")]

    found = compare_with_recorded_base(probes, {"base": Reply(text="x")})

    assert found == IdentityResult(
        Outcome.INCONCLUSIVE,
        "tuned model not proven, its base is recorded: 0 of 0 replies equal those of the base",
    )


@pytest.mark.parametrize(
    ("provider", "adapter", "cause"),
    [
        ("x", None, HOSTED),
        ("llamacpp", None, "a merge without effect answers so, and an exact copy"),
        ("llamacpp", Adapter(path=Path("a.gguf"), scale=1.0, sha256="abc"), NO_EFFECT),
        (
            "openai-compatible",
            None,
            (
                "the tuned model may not be loaded (does /v1/models list m, and at which scale is "
                "its adapter?), or the server may apply it to the base as well (is the base the "
                "same with --ftgate-concurrency=1?)"
            ),
        ),
    ],
)
def test_why_the_replies_are_those_of_the_base_depends_on_what_serves_them(
    provider, adapter, cause
):
    cases = [f"{i:03}" for i in range(60)]
    probes = [
        [
            replace(
                made,
                request=replace(made.request, provider=provider, model="m", adapter=adapter),
            )
            for made in (case_request(case, case) for case in cases)
        ]
        for _ in range(3)
    ]

    found = compare_with_base(probes, {case: Reply(text="x") for case in cases})

    assert found == IdentityResult(
        Outcome.INVALID,
        f"{SAME}: 60 of 60 replies are the base model's; the base repeats itself on 60 of 60; "
        f"{cause}",
    )


def test_only_settings_that_the_suite_declares_are_said_to_be_rejected():
    made = [case_request("a", "f")]
    results = {"f": Reply(text="x", unsent=("seed", "top_k"))}

    notices = [notice.message for notice in server_notices(made, results, {"seed"})]

    assert notices == ["claude-haiku-5-5 takes no seed; the replies came without it"]


@pytest.mark.parametrize("setting", ["output_config", "response_format"])
def test_a_rejected_format_is_replaced_by_a_tool(setting):
    made = [case_request("a", "f")]

    (notice,) = server_notices(made, {"f": Reply(text="x", unsent=(setting,))}, {setting})

    assert notice == IdentityResult(
        Outcome.INCONCLUSIVE,
        f"claude-haiku-5-5 takes no {setting}; a tool that the model must use stood in for it",
    )


def test_a_variant_without_requests_has_no_facts_and_a_hosted_one_no_adapter():
    assert identity_facts([], {}) == {}
    facts = identity_facts([case_request("a", "f")], {"f": Reply(text="x", facts={"retires": "y"})})

    assert "adapter" not in facts
    assert facts["retires"] == "y"
