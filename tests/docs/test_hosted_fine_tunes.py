"""The variants on the page of providers load, each with its base."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ftgate_testing.pages import page

from pytest_ftgate.suite.draft import PluginContributions
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.providers import PROVIDERS

ROOT = Path(__file__).parents[2]
#: Services that serve fine-tunes under a name.
HOSTED = ("OpenAI", "Bedrock", "Together", "Fireworks", "Tinker", "Vertex AI")
#: Sections of the page on providers, with their variants.
SECTIONS = re.split(r"^## (.*)\n", page("providers"), flags=re.MULTILINE)[1:]
BLOCKS = [
    (title, block)
    for title, text in zip(SECTIONS[::2], SECTIONS[1::2], strict=True)
    for block in re.findall(r"```yaml\n(variants:.*?)```", text, re.DOTALL)
]
ADAPTER = ROOT / "examples" / "tickets" / "tickets-narrow.gguf"
FRAME = """\
cases: [{input: Where is my money, expected: refund}]
"""
ACCURACY = "{accuracy: {min: 0.1}}"
FORGETTING = "{forgetting: {skills: general-small, max_drop: 0.1}}"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the files that the blocks name."""
    for name in ("tickets.md", "tickets-v2.md"):
        (tmp_path / name).write_text("Answer with one label.", "utf-8")
    adapter = tmp_path / "out" / "checkpoint-500"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA"}', "utf-8")
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    return tmp_path


def variants(folder: Path, block: str) -> dict:
    """Return the variants of a suite with *block* in it."""
    path = folder / "tickets.ftgate.yaml"
    if "provider: llamacpp" in block:  # reads the adapter
        block = block.replace("out/checkpoint-500", str(ADAPTER))
    gates = FORGETTING if "tuned:" in block else ACCURACY
    path.write_text(f"{FRAME}gates: {gates}\n{block}", "utf-8")
    others = {"bedrock-converse"} - PROVIDERS.keys()
    return load_suite(path, folder, PluginContributions(providers=others)).variants


def test_each_variant_of_the_page_loads_and_a_hosted_fine_tune_has_its_base(folder):
    loaded = [(title, variants(folder, block)) for title, block in BLOCKS]

    assert [title for title, found in loaded if not found] == []
    hosted = {title: found["tuned"].base for title, found in loaded if title in HOSTED}
    assert [title for title in HOSTED if not hosted.get(title)] == []
