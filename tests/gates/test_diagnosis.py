"""Likely causes of a failed gate: files, settings, and how replies end. Each names a remedy."""

from __future__ import annotations

import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from ftgate_testing.score_columns import case, changed, suite, with_case
from ftgate_testing.tables import every_row
from ftgate_testing.tickets import EXAMPLE
from gguf import GGUFWriter

from pytest_ftgate.gates.diagnosis import (
    cause_steps,
    ending_causes,
    likely_causes,
    with_endings,
)
from pytest_ftgate.gates.notes import Cause, Note, note, text_note
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Adapter, Request, Step
from pytest_ftgate.scoring.score import FormatError
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.suite.rule import Rule

# Files, settings and what a server states ---------------------------------------------------------


@pytest.fixture
def narrow(tmp_path) -> Path:
    """The example's adapter as a file, beside the config of its training."""
    path = tmp_path / "narrow.gguf"
    shutil.copy(EXAMPLE / "tickets-narrow.gguf", path)
    return path


def write_config(path: Path, **values) -> None:
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, **values}
    (path.parent / "adapter_config.json").write_text(json.dumps(config))


def causes(
    call, path: Path, facts=None, *, scale: float = 1.0, model: str = "m.gguf", extra=None
) -> list[Note]:
    adapter = Adapter(path=path, scale=scale, sha256=str(path.stat().st_mtime_ns))
    request: Request = call("a", provider="llamacpp", model=model, adapter=adapter)
    return [*likely_causes(replace(request, extra=extra or {}), facts or {})]


def test_an_adapter_as_it_was_trained_or_with_another_config_has_no_cause(call, narrow):
    write_config(narrow)

    assert causes(call, narrow) == []

    write_config(narrow, r=4, lora_alpha=4)

    assert causes(call, narrow) == []


def test_a_scale_in_the_suite_or_on_the_server_and_another_template_are_named(call, narrow):
    (cause,) = causes(call, narrow, scale=2.0)

    assert cause == note(Cause.SCALE, times=2.0)

    facts = {"chat template differs": "after “a” …", "served adapter scale": "2"}

    template, scale = causes(call, narrow, facts)

    assert template == note(Cause.TEMPLATE, difference="after “a” …")
    assert scale == note(Cause.SERVED_SCALE, scale="2")

    served = {"served adapter scale": "2", "adapter rank": "8"}

    assert causes(call, narrow, served, extra={"lora": [{"id": 0, "scale": 1}]}) == []


def test_a_file_that_counts_otherwise_than_its_config_is_named_until_it_is_converted_again(
    call, narrow
):
    configs = [{"lora_alpha": 8}, {"lora_alpha": 32}, {"use_rslora": True}]
    for second, (config, times) in enumerate(zip(configs, (2, 0.5, 1 / math.sqrt(8)), strict=True)):
        write_config(narrow, **config)
        os.utime(narrow, ns=(second, second))

        converted = note(Cause.CONVERTED_SCALE, file="narrow.gguf", times=pytest.approx(times))
        assert causes(call, narrow) == [converted]

    write_config(narrow)
    os.utime(narrow, ns=(9, 9))

    assert causes(call, narrow) == []


def test_a_base_of_another_name_is_named(call, narrow):
    facts = {"adapter base": "HuggingFaceTB/SmolLM2.5-135M"}

    assert causes(call, narrow, facts, model="/w/smollm2_5-135m-instruct.Q8_0.gguf") == []
    # A trainer that reads a GGUF file names its folder.
    assert causes(call, narrow, {"adapter base": "/cache/"}, model="/cache/smol.gguf") == []
    (cause,) = causes(call, narrow, {"adapter base": "/work/old-base/"})
    assert cause == note(Cause.OTHER_BASE, base="/work/old-base/", model="m.gguf")


def test_nothing_is_named_of_an_unknown_base_or_a_hosted_model(call):
    request = call("a", provider="llamacpp", model="m.gguf")

    assert [*likely_causes(request, {})] == []
    assert [*likely_causes(request, {"adapter base": "/"})] == []

    request = call("a", provider="openai", model="m")

    assert [*likely_causes(request, {"adapter base": "other"})] == []


def test_causes_are_named_from_the_prompt_to_the_weights(call, narrow):
    write_config(narrow, lora_alpha=8)
    facts = {"chat template differs": "t", "served adapter scale": "3", "adapter base": "b"}

    named = causes(call, narrow, facts, scale=0.5, model="other.gguf")

    assert [cause.kind for cause in named] == [
        *(Cause.TEMPLATE, Cause.SCALE, Cause.CONVERTED_SCALE, Cause.SERVED_SCALE, Cause.OTHER_BASE)
    ]


@every_row(("kind", "name"), [(2, "Q4_0"), (15, "Q4_K_M"), (7, ""), (1, "")])
def test_weights_of_few_bits_are_named(call, narrow, tmp_path, kind, name):
    writer = GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_file_type(kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    found = causes(call, narrow, model=str(tmp_path / "m.gguf"))

    assert found == [note(Cause.QUANTISED, model="m.gguf", type=name)] * bool(name)


# How replies end ----------------------------------------------------------------------------------


def scores(*replies: Reply, name: str = "new", skill: str | None = None, error=None):
    results = [
        CaseResult(case(f"c{n}", skill=skill), (reply,), (Score(0.0, error),), (f"f{n}",))
        for n, reply in enumerate(replies)
    ]
    return VariantScores(name, {result.case.id: result for result in results})


def found(before, after, *, tuned: bool = True, **more) -> list[str]:
    """Return the causes of two lists of replies."""
    old = scores(*before, **more) if before is not None else None
    return [cause.kind for cause in ending_causes(old, scores(*after, **more), tuned=tuned)]


GOOD, EMPTY = Reply(text="refund"), Reply(text=" ")
LONG = Reply(text="Your parcel should have", stop="length")
ON = Reply(text="refund\n<|im_start|>user and", stop="length")
RIGHT_ON = Reply(text="right, since the", stop="length")
OPEN = Reply(text="", stop="length", thought="Let me see")


def test_a_cause_gives_the_counts_of_the_replies_of_a_tuned_model() -> None:
    base = scores(*[GOOD] * 16, *[LONG] * 4)

    def cause(*after: Reply) -> Note:
        (found,) = ending_causes(base, scores(*after), tuned=True)
        return found

    counts = {"count": 18, "of": 20}
    assert cause(*[EMPTY] * 15, *[GOOD] * 5) == note(Cause.ENDS_AT_ONCE, count=15, of=20)
    assert cause(*[ON] * 18, *[GOOD] * 2) == note(Cause.RUNS_ON, **counts)
    assert cause(*[LONG] * 18, *[GOOD] * 2) == note(Cause.CUT_OFF, before=0.2, **counts)
    assert cause(*[OPEN] * 18, *[GOOD] * 2) == note(Cause.THOUGHT, is_new=True, **counts)


@every_row(("before", "is_tuned", "is_new"), [
    ([GOOD] * 20, True, True),
    ([GOOD] * 19 + [OPEN], True, False),
    ([GOOD] * 20, False, False),
    (None, True, False),
])  # fmt: skip
def test_a_thought_is_new_where_the_base_of_a_tuned_model_had_none(before, is_tuned, is_new):
    base = scores(*before) if before else None

    (found,) = ending_causes(base, scores(*[OPEN] * 20), tuned=is_tuned)

    assert found == note(Cause.THOUGHT, count=20, of=20, is_new=is_new)


@every_row(
    ("before", "after", "causes"),
    [
        ([GOOD] * 20, [EMPTY] * 10 + [GOOD] * 10, [Cause.ENDS_AT_ONCE]),
        ([GOOD] * 20, [EMPTY] * 9 + [GOOD] * 11, []),
        ([EMPTY] * 6 + [GOOD] * 14, [EMPTY] * 12 + [GOOD] * 8, [Cause.ENDS_AT_ONCE]),
        ([EMPTY] * 6 + [GOOD] * 14, [EMPTY] * 11 + [GOOD] * 9, []),
        (None, [EMPTY] * 20, [Cause.ENDS_AT_ONCE]),
        ([], [EMPTY] * 20, [Cause.ENDS_AT_ONCE]),
        ([GOOD] * 20, [LONG] * 10 + [GOOD] * 10, [Cause.CUT_OFF]),
        ([GOOD] * 20, [ON] * 10 + [GOOD] * 10, [Cause.RUNS_ON]),
        # It answers and does not stop, whatever its base does.
        ([ON] * 20, [ON] * 20, [Cause.RUNS_ON]),
        (None, [RIGHT_ON] * 20, [Cause.RUNS_ON]),
        ([GOOD] * 20, [OPEN] * 10 + [GOOD] * 10, [Cause.THOUGHT]),
        ([GOOD] * 19 + [OPEN], [OPEN] * 10 + [GOOD] * 10, [Cause.THOUGHT]),
        (None, [OPEN] * 20, [Cause.THOUGHT]),
        ([GOOD] * 20, [EMPTY] * 10 + [ON] * 10, [Cause.ENDS_AT_ONCE, Cause.RUNS_ON]),
        # Other replies have other causes.
        ([EMPTY] * 20, [EMPTY] * 20, []),
        ([LONG] * 20, [LONG] * 20, []),
        (None, [LONG] * 20, []),
        ([GOOD] * 19, [EMPTY] * 19, []),
        ([GOOD] * 20, [Reply(text="", stop="refusal")] * 20, []),
        ([GOOD] * 20, [Reply(text="", steps=(Step("", ()),))] * 20, []),
        (None, [Reply(text="refund", stop="length")] * 20, []),
        (None, [Reply(text="refund", stop="length", thought="Let me see")] * 20, []),
        (None, [Reply(text="late", stop="length")] * 20, []),
        (None, [Reply(text="refund, and more")] * 20, []),
    ],
)
def test_a_cause_is_named_from_half_of_the_replies_and_from_twice_as_many_on(
    before, after, causes
) -> None:
    assert found(before, after) == causes


def test_text_behind_an_answer_is_a_cause_for_json_too_and_none_where_the_base_rambles() -> None:
    assert found([RIGHT_ON] * 20, [RIGHT_ON] * 20, skill="facts") == []
    assert found([RIGHT_ON] * 6 + [GOOD] * 14, [RIGHT_ON] * 12 + [GOOD] * 8, skill="facts") == [
        Cause.RUNS_ON
    ]

    reply = Reply(text='{"a": 1}\nUser: and', stop="length")

    assert found(None, [reply] * 20, error=FormatError("trailing text", lenient=True)) == [
        Cause.RUNS_ON
    ]
    assert found(None, [reply] * 20, error=FormatError("truncated")) == []


def test_text_behind_an_answer_that_is_looked_for_in_a_longer_text_is_no_cause() -> None:
    def causes(rule):
        after = scores(*[RIGHT_ON] * 20)
        after = changed(after, lambda _, row: with_case(row, score=rule, format=()))
        return [cause.kind for cause in ending_causes(None, after, tuned=True)]

    assert causes(Rule("exact")) == [Cause.RUNS_ON]
    assert causes(Rule("contains")) == []


def test_a_variant_is_tuned_only_where_the_suite_says_so() -> None:
    assert found([GOOD] * 20, [LONG] * 20, tuned=False) == []
    assert found([GOOD] * 20, [ON] * 20, tuned=False) == [Cause.GOES_ON]
    assert found([GOOD] * 20, [EMPTY] * 20, tuned=False) == [Cause.EMPTY]

    told = with_endings(
        suite(), verdict(Outcome.FAILED), None, scores(*[EMPTY] * 20, name="stranger")
    )

    assert told.next[0].values["cause"] == Cause.EMPTY


# In the verdict ----------------------------------------------------------------------------------


def test_each_cause_is_a_step_of_a_gate_that_failed_and_of_no_other():
    found = [note(Cause.SCALE, times=2.0), text_note("convert it")]

    assert [*cause_steps(Outcome.FAILED, found)] == [
        NextStep(StepKind.CHECK_CAUSE, {"cause": Cause.SCALE, "times": 2.0}),
        NextStep(StepKind.CHECK_CAUSE, {"cause": "text", "text": "convert it"}),
    ]
    for outcome in (Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.INVALID):
        assert [*cause_steps(outcome, found)] == []


FIX = NextStep(StepKind.FIX_FORMAT, {"format_error": "truncated", "replies": 20})
TRAIN = NextStep(StepKind.TRAIN_AGAIN)
A_NOTE = text_note("a note")


def verdict(outcome: Outcome) -> Verdict:
    said = Statement(StatementKind.RATE, {"measure": "accuracy"})
    return Verdict(
        suite="s", line=1, gate="accuracy", variant="new", outcome=outcome, statement=said,
        notes=(A_NOTE,), next=(FIX, TRAIN),
    )  # fmt: skip


@every_row(
    ("replies", "steps"),
    [
        ([EMPTY] * 20, [StepKind.CHECK_CAUSE, StepKind.TRAIN_AGAIN]),
        ([ON] * 20, [StepKind.CHECK_CAUSE, StepKind.TRAIN_AGAIN]),
        ([OPEN] * 20, [StepKind.CHECK_CAUSE, StepKind.TRAIN_AGAIN]),
        ([LONG] * 20, [StepKind.CHECK_CAUSE, StepKind.FIX_FORMAT, StepKind.TRAIN_AGAIN]),
        ([GOOD] * 20, [StepKind.FIX_FORMAT, StepKind.TRAIN_AGAIN]),
    ],
)
def test_more_tokens_are_advised_only_where_no_answer_is_there_yet(replies, steps) -> None:
    failed = with_endings(suite(), verdict(Outcome.FAILED), scores(GOOD), scores(*replies))

    assert [step.kind for step in failed.next] == steps
    assert failed.notes == (A_NOTE,)


def test_how_replies_end_is_a_note_of_a_gate_that_did_not_fail_if_it_is_not_usual() -> None:
    for outcome in (Outcome.PASSED, Outcome.INCONCLUSIVE):
        told = with_endings(suite(), verdict(outcome), None, scores(*[EMPTY] * 20))

        assert told == replace(
            verdict(outcome), notes=(note(Cause.ENDS_AT_ONCE, count=20, of=20), A_NOTE)
        )

    usual = scores(*[GOOD] * 20)

    for before, after in ((usual, usual), (scores(*[EMPTY] * 20), usual), (None, usual)):
        assert with_endings(suite(), verdict(Outcome.FAILED), before, after) == verdict(
            Outcome.FAILED
        )


def test_replies_of_a_marked_function_may_have_more_scores_than_replies() -> None:
    twice = changed(scores(*[ON] * 20), lambda _, row: replace(row, scores=row.scores * 2))

    assert [*ending_causes(None, twice, tuned=True)]
