"""A real vLLM server with the example's narrow adapter: gated, and caught if it is another's."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from ftgate_testing.tickets import EXAMPLE, SYSTEM_PROMPT, peft_matrices, tickets, write_rows
from gguf import GGUFReader
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.weights import find_weights

WEIGHTS = find_weights("smollm2-135m", Path())
LABELS = ("refund", "login", "late_delivery")
#: Seconds until the server has loaded its libraries and the model.
START = 600
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


SKILL = """
cases: questions.jsonl
reply: {score: contains, max_tokens: 16}
variants: {any: {provider: openai-compatible, model: any}}
gates: {accuracy: {min: 0.01}}
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
#: Enough questions for the proof of identity to need no others.
QUESTIONS = 60


def save_base(folder: Path) -> None:
    """Write the weights that llama.cpp serves as vLLM reads them."""
    source = {"gguf_file": WEIGHTS.name}
    floats = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        WEIGHTS.parent, dtype="float32", quantization_config=floats, **source
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(WEIGHTS.parent, **source).save_pretrained(folder)


def save_adapter(folder: Path) -> None:
    """Write the example's adapter as PEFT does."""
    folder.mkdir()
    matrices = peft_matrices(GGUFReader(EXAMPLE / "tickets-narrow.gguf"))
    save_file(matrices, folder / "adapter_model.safetensors")
    modules = sorted({name.split(".")[-3] for name in matrices})
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": modules}
    (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Start ``vllm serve`` with the model and its adapter; yield its address and the folder."""
    folder = tmp_path_factory.mktemp("vllm")
    save_base(folder / "base")
    save_adapter(folder / "adapter")
    # The template of the training, with another default for the system prompt.
    template = (folder / "base" / "chat_template.jinja").read_text("utf-8")
    text = template.replace("trained by Hugging Face", "trained by us")
    (folder / "adapter" / "chat_template.jinja").write_text(text, "utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "host": "127.0.0.1",
        "port": port,
        "lora-modules": f"tickets={folder / 'adapter'}",
        "max-lora-rank": 8,
        "max-model-len": 2048,
        "dtype": "bfloat16",
        # This build applies an adapter to all requests that it computes together.
        "max-num-seqs": 1,
    }
    command = [os.environ["VLLM"], "serve", str(folder / "base"), "--enable-lora"]
    command += [
        "--enforce-eager",
        "--served-model-name",
        "base",
        "other",
        *(f"--{name}={value}" for name, value in options.items()),
    ]
    with subprocess.Popen(command, env=os.environ | ENVIRONMENT) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}/v1", folder / "adapter"
        finally:
            process.terminate()


def wait_for(address: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        try:
            urlopen(address).close()
        except URLError:
            time.sleep(1)
        else:
            return
    raise AssertionError(f"vLLM did not start: exit status {process.poll()}")


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
    rows = [
        {"id": case.id, "input": case.input, "expected": case.expected}
        for case in skill_cases(("world_facts",))[:QUESTIONS]
    ]
    write_rows(pytester.path / "questions.jsonl", rows)
    (pytester.path / "skill.ftgate.yaml").write_text(SKILL, "utf-8")
    (pytester.path / "suite.ftgate.yaml").write_text(FORGETTING, "utf-8")
    monkeypatch.setenv("VLLM_URL", server[0])

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*skills * % → * %, −* points, beyond the limit of 10*"])
