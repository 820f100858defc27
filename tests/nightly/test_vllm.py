"""A real vLLM server with the example's narrow adapter: gated, and caught if it is another's."""

from __future__ import annotations

import json
import os
import re
import shutil
from urllib.request import urlopen

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.checkpoints import save_checkpoint, started
from ftgate_testing.tickets import EXAMPLE, SYSTEM_PROMPT, save_adapter, tickets, write_questions

LABELS = ("refund", "login", "late_delivery")
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
}

SUITE = f"""
prompt: {SYSTEM_PROMPT}
cases: cases.jsonl
reply: {{format: {{choice: [{", ".join(LABELS)}]}}, score: choice, max_tokens: 12}}
variants:
  base:
    provider: openai-compatible
    base_url_env: VLLM_URL
    model: base
    temperature: 0
    gated: false
  tuned: {{like: base, model: tickets, base: base, gated: true}}
  loaded: {{like: tuned, model: trained, adapter: ADAPTER}}
  orphan: {{like: tuned, base: other}}
  missing: {{like: tuned, model: nobody}}
baseline: base
gates: {{accuracy: {{min: 0.60, max_drop: 0.10}}}}
"""

FORGETTING = f"""
cases: [{{id: one, input: "My parcel is late.", expected: late_delivery}}]
reply: {{format: {{choice: [{", ".join(LABELS)}]}}, max_tokens: 12}}
variants:
  tuned:
    provider: openai-compatible
    base_url_env: VLLM_URL
    model: tickets
    base: base
    temperature: 0
gates: {{forgetting: {{skills: skill.ftgate.yaml, max_drop: 0.10}}}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Start ``vllm serve`` with the model and its adapter; yield its address and the folder."""
    folder = tmp_path_factory.mktemp("vllm")
    save_checkpoint(folder / "base")
    save_adapter(folder / "adapter")
    # The template of the training, with another default for the system prompt.
    template = (folder / "base" / "chat_template.jinja").read_text("utf-8")
    text = template.replace("trained by Hugging Face", "trained by us")
    (folder / "adapter" / "chat_template.jinja").write_text(text, "utf-8")
    command = [os.environ["VLLM"], "serve", str(folder / "base"), "--enable-lora"]
    command += ["--enforce-eager", "--served-model-name", "base", "other"]
    command += [f"--lora-modules=tickets={folder / 'adapter'}", "--max-lora-rank=8"]
    # This build applies an adapter to all requests that it computes together.
    command += ["--max-model-len=2048", "--dtype=bfloat16", "--max-num-seqs=1"]
    with started(command, ENVIRONMENT) as address:
        yield address, folder / "adapter"


def test_an_adapter_passes_and_one_of_another_base_and_one_that_is_missing_do_not(
    server, pytester, monkeypatch
):
    write_rows(pytester.path / "cases.jsonl", tickets("tickets.cases.jsonl", LABELS))
    shutil.copy(EXAMPLE / SYSTEM_PROMPT, pytester.path)
    address, adapter = server
    suite = SUITE.replace("ADAPTER", str(adapter))
    (pytester.path / "suite.ftgate.yaml").write_text(suite, "utf-8")
    monkeypatch.setenv("VLLM_URL", address)

    result = pytester.runpytest_subprocess("--ftgate", "-rA")

    assert result.parseoutcomes() == {"passed": 2, "invalid": 1, "errors": 1}
    result.stdout.fnmatch_lines_random(
        [
            "    *declared other*",
            "missing: 404 *`nobody` does not exist*",
            "PASSED *accuracy?tuned?",
            "PASSED *accuracy?loaded?",
            '*another chat template: after "*trained by " the',
            '*server writes "Hugging Face*',
        ]
    )
    # What the run has loaded is gone again.
    with urlopen(f"{address}/models") as response:
        assert {row["id"] for row in json.load(response)["data"]} == {"base", "other", "tickets"}
    # The untuned model cannot do the task, and no reply of the tuned one passes for one of its own.
    (share,) = re.findall(r"^  base +(\d+) % ", result.stdout.str(), re.MULTILINE)[:1]
    assert int(share) <= 20


def test_what_the_adapter_forgot_is_shown_against_the_base_of_the_same_server(
    server, pytester, monkeypatch
):
    write_questions(pytester.path)
    (pytester.path / "suite.ftgate.yaml").write_text(FORGETTING, "utf-8")
    monkeypatch.setenv("VLLM_URL", server[0])

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["general skills down * points (95 % CI *), limit 10: base * %*"])
