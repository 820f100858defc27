"""The plan of a run: what it says about adapters."""

from __future__ import annotations

from types import SimpleNamespace

from tickets import EXAMPLE

from pytest_ftgate.runner.preview import adapter_lines
from pytest_ftgate.suite.loader import load_suite

SUITE = f"""
cases: [{{input: hello, expected: b}}]
variants:
  base: {{provider: llamacpp, model: smollm2-135m}}
  half: {{like: base, adapter: {EXAMPLE / "tickets-narrow.gguf"}, scale: 0.5}}
gates: {{accuracy: {{min: 0.5}}}}
"""


def test_the_plan_says_how_strongly_each_adapter_counts(tmp_path):
    path = tmp_path / "s.ftgate.yaml"
    path.write_text(SUITE, "utf-8")
    suite = load_suite(path, tmp_path)
    gates = [SimpleNamespace(suite=suite, variant=variant) for variant in suite.variants.values()]

    assert [*adapter_lines(gates)] == ["  half: adapter scale 0.5 × 16/8 = 1"]
