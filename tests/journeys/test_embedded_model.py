"""The main job on a slice: real weights, real adapters, real replies."""

import shutil
from pathlib import Path

import pytest
from gguf import GGUFReader

EXAMPLE = Path(__file__).parents[2] / "examples" / "tickets"

FORGETTING = """
cases: [{id: one, input: "My parcel is late.", expected: late_delivery}]
reply: {format: {choice: [late_delivery, refund]}, max_tokens: 12}
variants:
  current: {provider: llamacpp, model: smollm2-135m, gated: false}
  narrow: {like: current, adapter: narrow.gguf}
  zeroed: {like: current, adapter: zeroed.gguf}
gates: {forgetting: {skills: [world_facts], max_drop: 0.10}}
"""

LABELS = """
cases: labels.jsonl
reply: {format: {choice: [late_delivery, refund, login]}, max_tokens: 12}
variants:
  current: {provider: llamacpp, model: smollm2-135m}
  strict: {like: current, response_schema: true}
gates: {format: {min: 0.80}}
"""


def zero(adapter: Path) -> None:
    for tensor in GGUFReader(adapter, "r+").tensors:
        if tensor.name.endswith("lora_b"):
            tensor.data[:] = 0


@pytest.fixture
def adapters(pytester: pytest.Pytester) -> None:
    shutil.copy(EXAMPLE / "tickets-narrow.gguf", pytester.path / "narrow.gguf")
    shutil.copy(EXAMPLE / "tickets-narrow.gguf", pytester.path / "zeroed.gguf")
    zero(pytester.path / "zeroed.gguf")


@pytest.mark.usefixtures("adapters")
def test_real_forgetting_fails_and_an_adapter_without_effect_is_invalid(
    pytester: pytest.Pytester,
) -> None:
    pytester.makefile(".ftgate.yaml", suite=FORGETTING)

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml")

    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*zeroed is not what it claims: replies no different from the base model's*",
            "general skills * % → * %, −* points, allowed −10",
            "*world_facts* lost",
            "*passed before, fails now*",
            "BLOCKED  1 failed, 1 invalid of 2 gates*",
        ]
    )


def test_two_workers_share_the_cores_and_reach_the_verdicts(pytester: pytest.Pytester) -> None:
    words = ["late", "lost", "stuck", "not here", "delayed", "missing", "overdue", "gone"]
    rows = [
        f'{{"id": "{i}", "input": "My parcel {i} is {word}.", "expected": "late_delivery"}}'
        for i, word in enumerate(words * 2)
    ]
    pytester.makefile(".jsonl", labels="\n".join(rows))
    pytester.makefile(".ftgate.yaml", suite=LABELS)

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml", "-n2", "--dist=load")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["  current * FAILED *", "  strict * passed *", "FAILED *format?current?*"]
    )
