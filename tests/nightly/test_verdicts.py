"""The example's verdicts do not depend on what runs the model: llama.cpp or Transformers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ftgate_testing.tickets import EXAMPLE, save_adapter

from pytest_ftgate import evaluate
from pytest_ftgate.cli import demo

#: Beside the package, which need not be that of this checkout.
RECORDED = Path(demo.__file__).parents[1] / "demo"
TUNED = ("lora-narrow", "lora-replay")


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Path:
    """Return a folder with the example for Transformers, and the demo's recorded replies."""
    monkeypatch.chdir(tmp_path)
    # A wheel has the live example in the same folder.
    shutil.copytree(RECORDED, tmp_path / "recorded", ignore=shutil.ignore_patterns("live"))
    for name in ("tickets.md", "tickets.short.md", "tickets.cases.jsonl", "tickets.train.jsonl"):
        shutil.copy(EXAMPLE / name, tmp_path)
    suite = (EXAMPLE / "tickets.ftgate.yaml").read_text("utf-8")
    suite = suite.replace("provider: llamacpp", "provider: transformers")
    for variant in TUNED:
        kind = variant.removeprefix("lora-")
        save_adapter(tmp_path / kind, f"tickets-{kind}.gguf", task_type="CAUSAL_LM")
        suite = suite.replace(f"tickets-{kind}.gguf", kind)
    (tmp_path / "s.ftgate.yaml").write_text(suite, "utf-8")
    return tmp_path


def test_six_verdicts_are_the_same_through_llama_cpp_and_transformers(desk):
    recorded = evaluate(desk / "recorded" / "tickets.ftgate.yaml")
    computed = evaluate(desk / "s.ftgate.yaml", variants=TUNED)

    served = {(v.gate, v.variant): v.outcome for v in recorded.verdicts}
    assert len(served) == 6
    assert {(v.gate, v.variant): v.outcome for v in computed.verdicts} == served, str(computed)
