"""Whether the providers of a suite give the log-probabilities that its scores and gates read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from pytest_ftgate.suite.model import Case, Gate, Variant
from pytest_ftgate.suite.providers import PROVIDERS, provider_spec
from pytest_ftgate.suite.rule import choice_labels

#: Where the probability of a label of a reply can be had, and that of a given reply.
_OF_LABELS, _OF_GIVEN = ("full", "given", "own"), ("full", "given")


def margin_errors(cases: Iterable[Case], variants: Mapping[str, Variant]) -> Iterator[str]:
    """Yield why the score ``margin`` cannot be computed."""
    rated = [case for case in cases if case.score.reads_logprobs]
    if not rated:
        return
    if not all(choice_labels(case.format) for case in rated):
        yield "score: margin needs labels; write reply: {format: {choice: [...]}}"
    for variant in variants.values():
        if provider_spec(variant.provider).logprobs not in _OF_LABELS:
            yield (
                f"score: margin reads log-probabilities, and provider {variant.provider} of "
                f"variant {variant.name} gives none; write score: choice, or use "
                f"{_names_with(_OF_LABELS)}"
            )


def divergence_errors(gate: Gate, variants: Iterable[Variant]) -> Iterator[str]:
    """Yield why the distributions of the gated variants cannot be compared with their bases'."""
    for variant in variants:
        if not (variant.gated and gate.reads_base_replies and gate.applies_to(variant)):
            continue
        if provider_spec(variant.provider).logprobs not in _OF_GIVEN:
            yield (
                f"provider {variant.provider} of variant {variant.name} gives no log-probabilities "
                f"of a given reply; use {_names_with(_OF_GIVEN)} (a server such as vLLM), or "
                "remove the gate"
            )
        elif variant.base_replies is not None:
            yield (
                f"the base of {variant.name} is recorded, so its distributions are not known; "
                "remove base_replies, or the gate"
            )


def _names_with(kinds: Collection[str]) -> str:
    names = [f"provider: {name}" for name, spec in PROVIDERS.items() if spec.logprobs in kinds]
    return " or ".join(names)
