"""Causes: what probably made a gate about a tuned model fail, beside the model itself.

A wrong file or a wrong setting gives the scores of a bad model. Files, settings and what a server
states show some of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pytest_ftgate.adapters.chat_template import SERVED_SCALE_FACT, TEMPLATE_FACT
from pytest_ftgate.adapters.lora import scale_of_file
from pytest_ftgate.gates.format_errors import ending_notes
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.requests.request import Adapter, Request
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.weights import quantised_type, weights_name


def cause_steps(outcome: Outcome, causes: Iterable[str]) -> Iterator[NextStep]:
    """Yield the step that looks at each of *causes*, if the gate failed."""
    if outcome is Outcome.FAILED:
        for cause in dict.fromkeys(causes):
            yield NextStep(StepKind.CHECK_CAUSE, {"cause": cause})


def with_endings(verdict: Verdict, before: VariantScores | None, after: VariantScores) -> Verdict:
    """Return *verdict* with how replies end that are all empty or never end.

    It is the likely cause if the gate failed, and else a note.
    """
    endings = tuple(ending_notes(before, after))
    steps = tuple(cause_steps(verdict.outcome, endings))
    notes = verdict.notes if steps else (*endings, *verdict.notes)
    return replace(verdict, next=(*steps, *verdict.next), notes=notes)


def likely_causes(request: Request, facts: Mapping[str, str]) -> Iterator[str]:
    """Yield what may be wrong with a tuned model that answers *request*, with a remedy.

    *facts* are those of the variant.
    """
    yield from template_notes(facts)
    if request.adapter is not None:
        yield from _adapter_causes(request.adapter)
    yield from _served_scale_causes(facts)
    if provider_spec(request.provider).weights:
        yield from _weights_causes(request, facts)


def template_notes(facts: Mapping[str, str]) -> Iterator[str]:
    """Yield where the prompts of a variant with these *facts* differ from those of its training."""
    if TEMPLATE_FACT in facts:
        yield f"another chat template: {facts[TEMPLATE_FACT]}"


def _adapter_causes(adapter: Adapter) -> Iterator[str]:
    if adapter.scale != 1:
        yield f"the adapter has {adapter.scale:g} times the weight of its training; remove scale"
    ratio = scale_of_file(adapter.path, adapter.sha256)
    if ratio is not None:
        yield (
            f"{adapter.path.name} has {ratio:.3g} times the weight of its training, by the "
            "adapter_config.json beside it; name the folder as adapter, or convert it again"
        )


def _served_scale_causes(facts: Mapping[str, str]) -> Iterator[str]:
    if SERVED_SCALE_FACT in facts:
        yield (
            f"the server applies its adapter at scale {facts[SERVED_SCALE_FACT]}; start it with "
            "--lora instead of --lora-scaled, or write extra: {lora: [{id: 0, scale: 1}]}"
        )


def _weights_causes(request: Request, facts: Mapping[str, str]) -> Iterator[str]:
    name, trained_on = weights_name(request.model), facts.get("adapter base", "")
    base = trained_on.rstrip("/").rpartition("/")[2]
    if base and base.lower() not in name.lower():
        yield (
            f"the adapter was trained on {trained_on}, and the model is {name}; check that these "
            "are the same weights"
        )
    kind = quantised_type(Path(request.model))
    if kind:
        yield f"{name} is quantised to {kind}; a file of 8 or 16 bits shows what that costs"
