"""Whether a tuned variant is another model than its base, and whether a baseline drifted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ftgate_testing.score_columns import case as scored_case
from ftgate_testing.score_columns import case_samples
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.identity import (
    IdentityResult,
    check_uses,
    compare_with_base,
    compare_with_recorded_base,
    drift_case_ids,
    drift_note,
)
from pytest_ftgate.gates.notes import IdentityNote, note
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter, CaseRequest, Request
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule


def case_request(case: str, fingerprint: str, **changes) -> CaseRequest:
    values = {"provider": "x", "model": "m", "messages": (), "max_tokens": 1, "sampling": {}}
    request = Request(fingerprint=fingerprint, **{**values, **changes})
    return CaseRequest(Case(id=case, location="c:1", score=Rule("exact")), 0, request)


def numbers(n: int) -> list[str]:
    return [f"{i:03}" for i in range(n)]


def uses_of(*runs):
    """Return what runs show that read these skills; None is a run without a trace."""
    cases = [case_request(n, n) for n in numbers(len(runs))]
    replies = [Reply(text="", run=RunFacts(uses=uses)) for uses in runs]
    return check_uses("pdf", cases, dict(zip(numbers(len(runs)), replies, strict=True)))


def test_runs_without_a_trace_are_no_evidence_on_the_use_of_a_skill():
    used = uses_of(("pdf",), (), None)
    values = {"skill": "pdf", "used": 1, "of": 2, "untraced": 1}
    assert (used.outcome, used.message) == (
        Outcome.INCONCLUSIVE, note(IdentityNote.SKILL_USED, **values)
    )  # fmt: skip
    assert uses_of((), None).outcome is Outcome.INVALID
    assert uses_of(None).message == note(IdentityNote.USE_UNKNOWN, skill="pdf", of=1)
    assert uses_of() == IdentityResult(Outcome.PASSED)


def probes(cases: Iterable[str], sides=("tuned", "base", "again")) -> list[list[CaseRequest]]:
    return [[case_request(case, f"{side}{case}") for case in cases] for side in sides]


def compare(n: int, *, differing: int, unsteady: int = 0):
    results = {}
    for i, case in enumerate(numbers(n)):
        base = f"{case} is the reply"
        results[f"base{case}"] = Reply(text=base)
        results[f"again{case}"] = Reply(text=f"No, {base}" if i < unsteady else base)
        results[f"tuned{case}"] = Reply(text="label" if i >= n - differing else base)
    return compare_with_base(probes(numbers(n)), results)


def compare_replies(tuned: Reply, base: Reply, whole: int = 0):
    """Compare 60 cases, of which *whole* have answers that tell the models apart."""
    results = {}
    for i, case in enumerate(numbers(60)):
        for variant, reply in (("tuned", tuned), ("base", base), ("again", base)):
            whole_text = "label" if variant == "tuned" else "The reply."
            results[f"{variant}{case}"] = Reply(text=whole_text) if i < whole else reply
    return compare_with_base(probes(numbers(60)), results)


ADAPTER = Adapter(path=Path("a.gguf"), scale=1.0, sha256="abc")


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


def same(agree: int, of: int, base_agrees: int, kind=IdentityNote.SAME_BY_HOST) -> IdentityResult:
    counts = {"agree": agree, "of": of, "base_agrees": base_agrees}
    return IdentityResult(Outcome.INVALID, note(kind, model="m", **counts))


def proven(differ: int, of: int) -> IdentityResult:
    return IdentityResult(Outcome.PASSED, note(IdentityNote.PROVEN, differ=differ, of=of))


def few(count: int) -> IdentityResult:
    return unproven(IdentityNote.FEW_REPLIES, count=count, needed=30)


@every_row(
    ("n", "differing", "unsteady", "result"),
    [
        (60, 8, 0, proven(8, 60)),
        (60, 7, 0, same(53, 60, 60)),
        (30, 7, 0, same(23, 30, 30)),
        # Few replies may prove a tuned model, and never disprove it.
        (29, 7, 0, few(29)),
        (15, 8, 0, proven(8, 15)),
        (60, 20, 30, same(40, 60, 30)),
        (60, 20, 31, unproven(IdentityNote.BASE_VARIES, agree=40, of=60, base_agrees=29)),
    ],
)
def test_eight_replies_that_differ_from_a_steady_base_prove_a_tuned_model(
    n, differing, unsteady, result
) -> None:
    assert compare(n, differing=differing, unsteady=unsteady) == result


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
    requests = [case_request(case, case, provider=provider) for case in "abcd"]
    thinking = dict.fromkeys("abc", cut_off) | {"d": Reply(text="Tokyo")}
    kind, values = IdentityNote.CUT_OFF_THOUGHTS, {"count": 3, "of": 4, "switch": switch}

    assert compare_with_base([requests] * 3, thinking) == unproven(kind, recorded=False, **values)
    assert compare_with_recorded_base([requests] * 2, thinking) == unproven(
        kind, recorded=True, **values
    )


def test_as_many_replies_with_an_answer_as_without_are_only_too_few() -> None:
    cut_off = Reply(text="", stop="length")
    requests = [case_request(case, case) for case in "abcd"]
    results = dict.fromkeys("ab", cut_off) | dict.fromkeys("cd", Reply(text="x"))

    assert compare_with_base([requests] * 3, results) == few(2)
    assert compare_with_recorded_base([requests] * 2, results) == unproven(
        IdentityNote.BASE_RECORDED, agree=2, of=2
    )


def test_a_case_counts_as_unanswered_if_one_of_its_replies_has_no_answer() -> None:
    mine, base = probes("abc", "mb")
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
    cases = numbers(30)
    results = {f"base{case}": Reply(text="x") for case in cases}
    results |= {
        f"tuned{case}": Reply(text="y" if i < changed else "x") for i, case in enumerate(cases)
    }

    found = compare_with_recorded_base(probes(cases, ("tuned", "base")), results)

    assert found == IdentityResult(outcome, note(kind, agree=30 - changed, of=30))
    few = compare_with_recorded_base(probes("a", ("tuned", "base")), {"basea": Reply(text="x")})
    assert few == unproven(IdentityNote.BASE_RECORDED, agree=0, of=0)


@every_row(
    ("provider", "adapter", "kind"),
    [
        ("x", None, IdentityNote.SAME_BY_HOST),
        ("llamacpp", None, IdentityNote.SAME_BY_FILES),
        ("llamacpp", ADAPTER, IdentityNote.SAME_BY_ADAPTER),
        ("openai-compatible", None, IdentityNote.SAME_BY_SERVER),
    ],
)
def test_why_the_replies_are_those_of_the_base_depends_on_what_serves_them(provider, adapter, kind):
    made = {"provider": provider, "adapter": adapter}
    probes = [[case_request(case, case, **made) for case in numbers(60)]] * 3

    found = compare_with_base(probes, {case: Reply(text="x") for case in numbers(60)})

    assert found == same(60, 60, 60, kind)


# Drift of a baseline ------------------------------------------------------------------------------


def samples(right):
    """Return samples of 40 cases, of which the first *right* are right."""
    return case_samples([1.0] * right + [0.0] * (40 - right), f"{right}")


def drifted(before, after, cases):
    return note(IdentityNote.BASELINE_DRIFTED, before=before, after=after, cases=cases)


def test_a_tenth_of_many_cases_is_repeated_spread_over_the_file_and_twenty_at_least():
    def chosen(of):
        return drift_case_ids(tuple(map(scored_case, numbers(of))))

    assert chosen(500) == {*numbers(500)[::10]}
    assert (len(chosen(90)), len(chosen(7))) == (20, 7)


def test_cases_that_have_nothing_to_score_are_not_repeated():
    kinds = [{}, {"expected": None}, {"format": ()}, {"expected": None, "format": ()}]
    cases = tuple(replace(scored_case(f"{i}"), **kind) for i, kind in enumerate(kinds))

    assert drift_case_ids(cases) == {"0", "1", "2"}


@every_row(
    ("before", "after", "told"),
    [
        (36, 30, None),
        (36, 29, drifted(0.9, 0.725, 40)),
        (29, 35, None),
        (29, 36, drifted(0.725, 0.9, 40)),
    ],
)
def test_a_few_flips_are_no_drift_and_more_are_in_either_direction(before, after, told):
    assert drift_note(samples(before), samples(after)) == told


def test_a_score_of_half_counts_as_wrong():
    right, half, better = (case_samples([value] * 40) for value in (1.0, 0.5, 0.6))

    assert drift_note(right, better) is None
    assert drift_note(right, half) == drifted(1.0, 0.0, 40)


def test_cases_without_a_reply_on_one_side_are_not_compared():
    before = case_samples([None] * 5 + [1.0] * 35)
    after = case_samples([None] * 8 + [0.0] * 32)

    assert drift_note(before, after) == drifted(1.0, 0.0, 32)
    assert drift_note(after, before) == drifted(0.0, 1.0, 32)
