"""A real server of `transformers serve`: what it ignores without a word is found out."""

from __future__ import annotations

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
from ftgate_testing.tickets import EXAMPLE, SYSTEM_PROMPT, tickets, write_rows
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from pytest_ftgate.weights import find_weights

WEIGHTS = find_weights("smollm2-135m", Path())
LABELS = ("refund", "login")
#: Seconds until the server has loaded its libraries.
START = 600

SUITE = f"""
prompt: {SYSTEM_PROMPT}
cases: cases.jsonl
reply: {{format: {{choice: [{", ".join(LABELS)}]}}, score: choice, max_tokens: 12}}
variants:
  free: {{provider: openai-compatible, base_url_env: SERVE_URL, model: MODEL, gated: false}}
  held: {{like: free, response_schema: true, gated: true}}
  unknown: {{like: free, model: org/no-such-model, gated: true}}
gates: {{accuracy: {{min: 0.01}}}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Start ``transformers serve``; yield its address and the folder of a model for it."""
    folder = tmp_path_factory.mktemp("serve") / "model"
    source = {"gguf_file": WEIGHTS.name}
    floats = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(
        WEIGHTS.parent, dtype="float32", quantization_config=floats, **source
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(WEIGHTS.parent, **source).save_pretrained(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.environ["TRANSFORMERS"], "serve", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}/v1", folder
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
    raise AssertionError(f"the server did not start: exit status {process.poll()}")


def test_an_ignored_schema_is_invalid_and_an_unknown_model_is_given_up_soon(
    server, pytester, monkeypatch
):
    write_rows(pytester.path / "cases.jsonl", tickets("tickets.cases.jsonl", LABELS))
    shutil.copy(EXAMPLE / SYSTEM_PROMPT, pytester.path)
    address, model = server
    suite = SUITE.replace("MODEL", str(model))
    (pytester.path / "suite.ftgate.yaml").write_text(suite, "utf-8")
    monkeypatch.setenv("SERVE_URL", address)

    result = pytester.runpytest_subprocess("--ftgate", "suite.ftgate.yaml")

    result.assert_outcomes(errors=2)
    printed = " ".join(result.stdout.str().split())
    broken = re.search(r"the schema is broken in (\d+) of (\d+) (whole )?replies", printed)
    assert broken, printed
    assert "the server did not enforce it" in printed
    assert "org/no-such-model" in printed
    assert re.search(
        r"500 Internal Server Error .*model org/no-such-model.* times in a row", printed
    )
