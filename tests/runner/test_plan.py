"""The plan of a run: what it says about adapters."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

from ftgate_testing.tickets import EXAMPLE

from pytest_ftgate.runner.plan import adapter_lines
from pytest_ftgate.suite.loader import load_suite

SUITE = """
cases: [{{input: hello, expected: b}}]
variants:
  base: {{provider: llamacpp, model: smollm2-135m}}
  half: {{like: base, adapter: {adapter}, scale: 0.5}}
gates: {{accuracy: {{min: 0.5}}}}
"""


def lines(folder, adapter):
    path = folder / "s.ftgate.yaml"
    path.write_text(SUITE.format(adapter=adapter), "utf-8")
    suite = load_suite(path, folder)
    gates = [SimpleNamespace(suite=suite, variant=variant) for variant in suite.variants.values()]
    return [*adapter_lines(gates)]


def test_the_plan_says_how_strongly_each_adapter_counts(tmp_path):
    adapter = EXAMPLE / "tickets-narrow.gguf"

    assert lines(tmp_path, adapter) == ["  half: adapter scale 0.5 × 16/8 = 1"]


def test_the_plan_names_a_file_that_counts_otherwise_than_the_config_beside_it(tmp_path):
    shutil.copy(EXAMPLE / "tickets-narrow.gguf", tmp_path / "a.gguf")
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 8}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))

    assert lines(tmp_path, "a.gguf") == [
        "  half: adapter scale 0.5 × 16/8 = 1, 2 times that of adapter_config.json"
    ]
