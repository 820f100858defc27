"""A real server of `transformers serve`: what it ignores without a word is found out."""

from __future__ import annotations

import os
import re
import shutil

import pytest
from ftgate_testing.answer_files import write_rows
from ftgate_testing.checkpoints import save_checkpoint, started
from ftgate_testing.tickets import EXAMPLE, SYSTEM_PROMPT, tickets

LABELS = ("refund", "login")

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
    save_checkpoint(folder)
    with started([os.environ["TRANSFORMERS"], "serve"], {"HF_HUB_OFFLINE": "1"}) as address:
        yield address, folder


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

    assert result.parseoutcomes() == {"errors": 1, "invalid": 1}
    printed = " ".join(result.stdout.str().split())
    broken = re.search(r"the schema is broken in (\d+) of (\d+) (whole )?replies", printed)
    assert broken, printed
    assert "the server did not enforce it" in printed
    assert "take a server that holds replies to a schema, or remove response_schema" in printed
    assert "org/no-such-model" in printed
    assert re.search(
        r"500 Internal Server Error .*model org/no-such-model.* times in a row", printed
    )
