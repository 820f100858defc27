"""The model card: its block and its metadata are replaced, and all else stays."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import yaml
from ftgate_testing.reports import failing_run, report

from pytest_ftgate import ConfigurationError
from pytest_ftgate.reporting.markdown import write_model_card

OWN = """---
license: apache-2.0
base_model: org/base
tags:
- lora
---

# Tickets

Sorts tickets.
"""


def front_of(text: str) -> dict[str, object]:
    found = re.match(r"---\n(.*?)---\n", text, re.DOTALL)
    assert found
    return yaml.safe_load(found[1])


def test_a_new_card_has_the_gates_the_skills_and_their_metadata(tmp_path):
    card = tmp_path / "README.md"

    write_model_card(card, failing_run(), "new")

    text = card.read_text("utf-8")
    assert "0 of 3 gates passed, on 2026-11-25" in text
    assert re.search(
        r"\| accuracy +\| +98 % \| +60 % \| down 38 \(29 to 48\) +\| +100 \| FAILED", text
    )
    assert "General skills, against the untuned model" in text
    (entry,) = front_of(text)["model-index"]
    assert entry["name"] == "new"
    first = entry["results"][0]
    assert first["metrics"] == [{"type": "accuracy", "name": "accuracy (failed)", "value": 0.6}]


def test_a_card_keeps_what_others_wrote_and_is_the_same_when_written_again(tmp_path):
    card = tmp_path / "README.md"
    card.write_text(OWN, "utf-8")

    write_model_card(card, failing_run(), "new")
    first = card.read_text("utf-8")
    write_model_card(card, failing_run(), "new")

    assert card.read_text("utf-8") == first
    assert front_of(first).items() >= yaml.safe_load(OWN.split("---")[1]).items()
    assert "# Tickets\n\nSorts tickets.\n\n<!-- pytest-ftgate: begin -->" in first
    card.write_text(first + "\n## Licence\n", "utf-8")
    write_model_card(card, report(failing_run().verdicts[3]), None)
    third = card.read_text("utf-8")
    assert "1 of 1 gate passed" in third
    assert "98 % | 60 %" not in third
    assert third.endswith("<!-- pytest-ftgate: end -->\n\n## Licence\n")
    assert front_of(third)["model-index"][0]["name"] == "current"


def test_results_of_another_tool_in_the_metadata_stay(tmp_path):
    card = tmp_path / "README.md"
    index = "model-index:\n- name: mine\n  results: []\n"
    card.write_text(OWN.replace("license:", f"{index}license:"), "utf-8")

    sentence = write_model_card(card, failing_run(), "new")

    assert "model-index is of another tool and stays" in sentence
    assert front_of(card.read_text("utf-8"))["model-index"] == [{"name": "mine", "results": []}]


def test_hostile_names_stay_text(tmp_path):
    verdict = replace(failing_run().verdicts[0], variant='x"]}\n--- <script> | y')

    write_model_card(tmp_path / "card.md", report(verdict), None)

    text = (tmp_path / "card.md").read_text("utf-8")
    assert front_of(text)["model-index"][0]["name"] == verdict.variant
    assert "<script>" not in text.partition("---\n\n")[2]


def test_the_variant_must_be_clear(tmp_path):
    with pytest.raises(ConfigurationError, match=r"whose model card\? write --variant, one of"):
        write_model_card(tmp_path / "card.md", failing_run(), None)
    with pytest.raises(ConfigurationError, match="no gate has a verdict on newer"):
        write_model_card(tmp_path / "card.md", failing_run(), "newer")


def test_hugging_face_reads_the_results(tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    card = tmp_path / "README.md"
    card.write_text(OWN, "utf-8")
    write_model_card(card, failing_run(), "new")

    results = hub.ModelCard.load(card).data.eval_results

    assert [result.metric_type for result in results] == ["accuracy", "format", "forgetting"]
    assert results[0].metric_value == 0.6
