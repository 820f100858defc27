"""Likely causes of a failed gate about a tuned model, each with a remedy."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path

import pytest
from ftgate_testing.tables import every_row
from ftgate_testing.tickets import EXAMPLE
from gguf import GGUFWriter

from pytest_ftgate.gates.diagnosis import cause_steps, likely_causes
from pytest_ftgate.gates.notes import Cause, Note, note, text_note
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.request import Adapter, Request


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
    call, path: Path, facts=None, *, scale: float = 1.0, model: str = "m.gguf"
) -> list[Note]:
    adapter = Adapter(path=path, scale=scale, sha256=str(path.stat().st_mtime_ns))
    request: Request = call("a", provider="llamacpp", model=model, adapter=adapter)
    return [*likely_causes(request, facts or {})]


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


@pytest.mark.parametrize(
    ("config", "times"),
    [({"lora_alpha": 8}, 2), ({"lora_alpha": 32}, 0.5), ({"use_rslora": True}, 1 / math.sqrt(8))],
)
def test_a_file_that_counts_otherwise_than_its_config_is_named(call, narrow, config, times):
    write_config(narrow, **config)

    (cause,) = causes(call, narrow)

    assert cause.kind == Cause.CONVERTED_SCALE
    assert cause.values == {"file": "narrow.gguf", "times": pytest.approx(times)}


def test_a_file_that_was_converted_again_is_read_again(call, narrow):
    write_config(narrow, lora_alpha=8)
    assert len(causes(call, narrow)) == 1

    write_config(narrow)
    os.utime(narrow, ns=(1, 1))

    assert causes(call, narrow) == []


def test_a_base_of_another_name_is_named(call, narrow):
    facts = {"adapter base": "HuggingFaceTB/SmolLM2-135M"}

    assert causes(call, narrow, facts, model="/w/smollm2-135m-instruct.Q8_0.gguf") == []
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


# In the verdict ----------------------------------------------------------------------------------


def test_each_cause_is_a_step_of_a_gate_that_failed_and_of_no_other():
    found = [note(Cause.SCALE, times=2.0), text_note("convert it")]

    assert [*cause_steps(Outcome.FAILED, found)] == [
        NextStep(StepKind.CHECK_CAUSE, {"cause": Cause.SCALE, "times": 2.0}),
        NextStep(StepKind.CHECK_CAUSE, {"cause": "text", "text": "convert it"}),
    ]
    for outcome in (Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.INVALID):
        assert [*cause_steps(outcome, found)] == []
