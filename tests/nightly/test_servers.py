"""Two models of one origin: two servers of llama.cpp, a quantised copy beside its original, and an
adapter without effect.
"""

from __future__ import annotations

import re
import shutil

import pytest
from ftgate_testing.local_server import EXAMPLE, WEIGHTS, served
from ftgate_testing.tickets import write_questions
from gguf import GGUFReader

SUITE = """
cases: [{id: one, input: "My parcel is late.", expected: late_delivery}]
reply: {format: {choice: [late_delivery, refund]}, max_tokens: 6}
variants:
  plain:
    provider: openai-compatible
    model: smollm2
    base_url_env: PLAIN_URL
    temperature: 0
    gated: false
  tuned: {like: plain, base_url_env: TUNED_URL, model: tickets, base: plain, gated: true}
  misnamed: {like: tuned, model: other}
gates: {forgetting: {skills: skill.ftgate.yaml, max_drop: 0.10}}
"""

COPIES = """
cases: [{{id: one, input: "My parcel is late.", expected: late_delivery}}]
reply: {{format: {{choice: [late_delivery, refund]}}, max_tokens: 6}}
variants:
  original: {{provider: llamacpp, model: {original}, gated: false}}
  quantised: {{provider: llamacpp, model: {quantised}, base: original}}
  twin: {{provider: llamacpp, model: twin.gguf, base: {original}}}
gates: {{forgetting: {{skills: skill.ftgate.yaml, max_drop: 0.20}}}}
"""

ZEROED = """
cases: [{id: one, input: "My parcel is late.", expected: late_delivery}]
reply: {format: {choice: [late_delivery, refund]}, max_tokens: 6}
variants:
  current: {provider: llamacpp, model: smollm2-135m, gated: false}
  zeroed: {like: current, adapter: zeroed.gguf}
gates: {forgetting: {skills: skill.ftgate.yaml, max_drop: 0.10}}
"""


def test_what_a_tuned_server_forgot_is_shown_against_the_server_of_its_base(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, tuned = served("smollm2"), served("tickets", EXAMPLE / "tickets-narrow.gguf")
    monkeypatch.setenv("PLAIN_URL", f"{plain.listening_address}/v1")
    monkeypatch.setenv("TUNED_URL", f"{tuned.listening_address}/v1")
    write_questions(pytester.path)
    pytester.makefile(".ftgate.yaml", suite=SUITE)

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml")

    assert result.parseoutcomes() == {"failed": 1, "invalid": 1}
    result.stdout.fnmatch_lines(
        [
            "general skills down * points (95 % CI * to *), limit 10: base * %*",
            "    another model answered: tickets, declared other; if*",
        ]
    )


def test_a_quantised_copy_is_held_to_its_original_and_a_copy_of_the_same_weights_is_reported(
    pytester: pytest.Pytester,
) -> None:
    (quantised,) = WEIGHTS.parent.glob("*.Q4_1.gguf")
    # The same weights in another file.
    twin = pytester.path / "twin.gguf"
    twin.write_bytes(WEIGHTS.read_bytes() + b"\0")
    write_questions(pytester.path)
    suite = COPIES.format(original=WEIGHTS, quantised=quantised)
    pytester.makefile(".ftgate.yaml", suite=suite)

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml")

    result.assert_outcomes(passed=2)
    printed = " ".join(result.stdout.str().split())
    assert "a merge without effect, or an exact copy of the base, replies like this" in printed


def test_an_adapter_without_effect_is_invalid(pytester: pytest.Pytester) -> None:
    zeroed = pytester.path / "zeroed.gguf"
    shutil.copy(EXAMPLE / "tickets-narrow.gguf", zeroed)
    for tensor in GGUFReader(zeroed, "r+").tensors:
        if tensor.name.endswith("lora_b"):
            tensor.data[:] = 0
    write_questions(pytester.path)
    pytester.makefile(".ftgate.yaml", suite=ZEROED)

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml")

    assert result.parseoutcomes() == {"invalid": 1}
    result.stdout.fnmatch_lines(["    the fine-tune answers like its base*"])
    # Greedy replies are the same again, but for a rare last bit that a batch may turn.
    printed = " ".join(result.stdout.str().split())
    repeated = re.search(r"the base is deterministic in (\d+) of (\d+)", printed)
    assert repeated is not None
    assert int(repeated[1]) >= int(repeated[2]) - 2
