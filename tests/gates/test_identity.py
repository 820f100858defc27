from dataclasses import replace
from pathlib import Path

from ftgate_testing.tables import every_row

from pytest_ftgate.gates.identity import (
    IdentityResult,
    compare_with_base,
    compare_with_recorded_base,
    identity_facts,
    server_notices,
)
from pytest_ftgate.gates.notes import IdentityNote, note
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


def probes(cases: list[str], sides=("tuned", "base", "again")) -> list[list[CaseRequest]]:
    return [[case_request(case, f"{side}{case}") for case in cases] for side in sides]


def compare(n: int, *, differing: int, unsteady: int = 0):
    cases = [f"{i:03}" for i in range(n)]
    results = {}
    for i, case in enumerate(cases):
        base = f"{case} is the reply"
        results[f"base{case}"] = Reply(text=base)
        results[f"again{case}"] = Reply(text=f"No, {base}" if i < unsteady else base)
        results[f"tuned{case}"] = Reply(text="label" if i >= n - differing else base)
    return compare_with_base(probes(cases), results)


def compare_replies(tuned: Reply, base: Reply, n: int = 60, whole: int = 0):
    """Compare *n* cases, of which *whole* have answers that tell the models apart."""
    cases = [f"{i:03}" for i in range(n)]
    results = {}
    for i, case in enumerate(cases):
        for variant, reply in (("tuned", tuned), ("base", base), ("again", base)):
            whole_text = "label" if variant == "tuned" else "The reply."
            results[f"{variant}{case}"] = Reply(text=whole_text) if i < whole else reply
    return compare_with_base(probes(cases), results)


def unproven(kind: str, **values) -> IdentityResult:
    return IdentityResult(Outcome.INCONCLUSIVE, note(kind, **values))


@every_row(
    ("reply", "kind"),
    [
        (Reply(text="", stop="length", thought="The user"), IdentityNote.CUT_OFF_THOUGHTS),
        (Reply(text="<think>The user", stop="length"), IdentityNote.CUT_OFF_THOUGHTS),
        (Reply(text="", stop="length"), IdentityNote.CUT_OFF_REPLIES),
        (Reply(text=" "), IdentityNote.EMPTY_REPLIES),
    ],
    ids=["beside the text", "in the text", "no thought", "empty"],
)
def test_replies_without_an_answer_are_no_evidence(reply: Reply, kind: IdentityNote) -> None:
    more = {"switch": ""} if kind is IdentityNote.CUT_OFF_THOUGHTS else {}

    found = compare_replies(reply, reply)

    assert found == unproven(kind, count=60, of=60, recorded=False, **more)


def test_the_replies_that_have_an_answer_prove_the_tuned_model_and_thoughts_do_not() -> None:
    cut_off = Reply(text="", stop="length", thought="The user")

    assert compare_replies(cut_off, cut_off, whole=8).outcome is Outcome.PASSED

    thoughts = [Reply(text=f"<think>{text}</think>Tokyo") for text in ("Let me see.", "Okay.")]

    assert compare_replies(*thoughts).outcome is Outcome.INVALID


def test_a_tuned_model_that_only_goes_on_or_ends_earlier_is_another_model() -> None:
    short, long = Reply(text="Tokyo"), Reply(text="Tokyo.")

    for tuned, base in ((long, short), (short, long)):
        found = compare_replies(tuned, base)
        assert found.message == note(IdentityNote.PROVEN, differ=60, of=60)


def same(agree: int, of: int, base_agrees: int) -> IdentityResult:
    counts = {"agree": agree, "of": of, "base_agrees": base_agrees}
    told = note(IdentityNote.SAME_BY_HOST, model="claude-haiku-5-5", **counts)
    return IdentityResult(Outcome.INVALID, told)


@every_row(
    ("made", "result"),
    [
        (
            {"n": 60, "differing": 40},
            IdentityResult(Outcome.PASSED, note(IdentityNote.PROVEN, differ=40, of=60)),
        ),
        ({"n": 60, "differing": 0}, same(60, 60, 60)),
        ({"n": 30, "differing": 7}, same(23, 30, 30)),
        ({"n": 29, "differing": 7}, unproven(IdentityNote.FEW_REPLIES, count=29, needed=30)),
        ({"n": 60, "differing": 20, "unsteady": 30}, same(40, 60, 30)),
        (
            {"n": 60, "differing": 20, "unsteady": 31},
            unproven(IdentityNote.BASE_VARIES, agree=40, of=60, base_agrees=29),
        ),
    ],
)
def test_what_replies_show_about_a_tuned_model_is_counted(made, result) -> None:
    assert compare(**made) == result


def test_only_cases_with_all_three_replies_are_compared() -> None:
    cases = [f"{i:03}" for i in range(40)]
    results = {
        f"{variant}{case}": Reply(text=f"{case} is the reply")
        for variant in ("tuned", "base", "again")
        for case in cases
    }
    for number, variant in enumerate(("tuned", "base", "again")):
        del results[f"{variant}{cases[number]}"]

    assert compare_with_base(probes(cases), results) == same(37, 37, 37)


def test_eight_replies_that_differ_prove_a_tuned_model_and_few_replies_never_disprove_it() -> None:
    assert compare(60, differing=7).outcome is Outcome.INVALID
    assert compare(60, differing=8).outcome is Outcome.PASSED

    assert compare(15, differing=8).outcome is Outcome.PASSED
    assert compare(15, differing=7).outcome is Outcome.INCONCLUSIVE
    assert compare(29, differing=0).outcome is Outcome.INCONCLUSIVE


@every_row(
    ("provider", "switch"),
    [
        ("anthropic", "thinking: {type: disabled}"),
        ("openai-compatible", "extra: {chat_template_kwargs: {enable_thinking: false}}"),
        ("x", ""),
    ],
)
def test_the_switch_for_thoughts_is_what_the_provider_takes(provider, switch) -> None:
    cut_off = Reply(text="", stop="length", thought="The user")
    cases = [f"{i:03}" for i in range(4)]
    requests = [case_request(case, case) for case in cases]
    requests = [replace(one, request=replace(one.request, provider=provider)) for one in requests]
    thinking = dict.fromkeys(cases[:3], cut_off) | {"003": Reply(text="Tokyo")}
    kind, values = IdentityNote.CUT_OFF_THOUGHTS, {"count": 3, "of": 4, "switch": switch}

    assert compare_with_base([requests] * 3, thinking) == unproven(kind, recorded=False, **values)
    assert compare_with_recorded_base([requests] * 2, thinking) == unproven(
        kind, recorded=True, **values
    )


def test_as_many_replies_with_an_answer_as_without_are_only_too_few() -> None:
    cut_off = Reply(text="", stop="length")
    requests = [case_request(case, case) for case in "abcd"]
    results = dict.fromkeys("ab", cut_off) | dict.fromkeys("cd", Reply(text="x"))

    assert compare_with_base([requests] * 3, results) == unproven(
        IdentityNote.FEW_REPLIES, count=2, needed=30
    )
    assert compare_with_recorded_base([requests] * 2, results) == unproven(
        IdentityNote.BASE_RECORDED, agree=2, of=2
    )


def test_a_case_counts_as_unanswered_if_one_of_its_replies_has_no_answer() -> None:
    mine, base = ([case_request(case, f"{side}{case}") for case in "abc"] for side in ("m", "b"))
    results = {f"b{case}": Reply(text="x") for case in "abc"}
    results |= {"ma": Reply(text="x"), "mb": Reply(text=""), "mc": Reply(text=" ")}

    assert compare_with_base([mine, base, base], results) == unproven(
        IdentityNote.EMPTY_REPLIES, count=2, of=3, recorded=False
    )


@every_row(
    ("changed", "outcome", "kind"),
    [
        (0, Outcome.INVALID, IdentityNote.SAME_AS_RECORDED),
        (1, Outcome.INCONCLUSIVE, IdentityNote.BASE_RECORDED),
    ],
)
def test_a_recorded_base_disproves_a_tuned_model_and_never_proves_it(changed, outcome, kind):
    cases = [f"{i:03}" for i in range(30)]
    results = {f"base{case}": Reply(text="x") for case in cases}
    results |= {
        f"tuned{case}": Reply(text="y" if i < changed else "x") for i, case in enumerate(cases)
    }

    told = note(kind, agree=30 - changed, of=30)
    assert compare_with_recorded_base(probes(cases, ("tuned", "base")), results) == IdentityResult(
        outcome, told
    )


def test_too_few_replies_beside_a_recorded_base_are_said_to_be_missing():
    probes = [[case_request("a", name)] for name in ("tuned", "base")]

    found = compare_with_recorded_base(probes, {"base": Reply(text="x")})

    assert found == unproven(IdentityNote.BASE_RECORDED, agree=0, of=0)


@every_row(
    ("provider", "adapter", "kind"),
    [
        ("x", None, IdentityNote.SAME_BY_HOST),
        ("llamacpp", None, IdentityNote.SAME_BY_FILES),
        (
            "llamacpp",
            Adapter(path=Path("a.gguf"), scale=1.0, sha256="abc"),
            IdentityNote.SAME_BY_ADAPTER,
        ),
        ("openai-compatible", None, IdentityNote.SAME_BY_SERVER),
    ],
)
def test_why_the_replies_are_those_of_the_base_depends_on_what_serves_them(provider, adapter, kind):
    cases = [f"{i:03}" for i in range(60)]
    probes = [
        [
            replace(
                made, request=replace(made.request, provider=provider, model="m", adapter=adapter)
            )
            for made in (case_request(case, case) for case in cases)
        ]
        for _ in range(3)
    ]

    found = compare_with_base(probes, {case: Reply(text="x") for case in cases})

    counts = {"agree": 60, "of": 60, "base_agrees": 60}
    assert found == IdentityResult(Outcome.INVALID, note(kind, model="m", **counts))


def test_settings_and_facts_are_told_only_as_far_as_the_suite_has_them():
    made = [case_request("a", "f")]
    results = {"f": Reply(text="x", unsent=("seed", "top_k"))}

    notices = [notice.message for notice in server_notices(made, results, {"seed"})]

    assert notices == [note(IdentityNote.REJECTED, model="claude-haiku-5-5", setting="seed")]

    assert identity_facts([], {}) == {}
    facts = identity_facts([case_request("a", "f")], {"f": Reply(text="x", facts={"retires": "y"})})

    assert "adapter" not in facts
    assert facts["retires"] == "y"


@every_row("setting", ["output_config", "response_format"])
def test_a_rejected_format_is_replaced_by_a_tool(setting):
    made = [case_request("a", "f")]

    (notice,) = server_notices(made, {"f": Reply(text="x", unsent=(setting,))}, {setting})

    assert notice == unproven(IdentityNote.REPLACED, model="claude-haiku-5-5", setting=setting)
