"""The variants on the pages of providers load, each with its base."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_ftgate.suite.draft import PluginContributions
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.providers import PROVIDERS

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
HOSTED = re.findall(
    r"\(providers/([\w-]+)\.md\)", (HOW_TO / "hosted-fine-tunes.md").read_text("utf-8")
)
BLOCKS = [
    (f"{page.stem}-{place}", block)
    for page in sorted((HOW_TO / "providers").glob("*.md"))
    for place, block in enumerate(
        re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    )
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


def test_each_variant_of_a_page_loads_with_its_base(folder):
    loaded = {place: variants(folder, block) for place, block in BLOCKS}

    assert [place for place, found in loaded.items() if not found] == []
    hosted = [place for place in loaded if place.rpartition("-")[0] in HOSTED]
    assert [place for place in hosted if not loaded[place]["tuned"].base] == []
    assert len(hosted) >= len(HOSTED)


def test_each_hosted_service_has_a_page():
    assert {*HOSTED} == {"openai", "together", "fireworks", "tinker", "vertex", "bedrock"}
