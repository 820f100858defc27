"""Causes: what probably made a gate fail.

A wrong file or a wrong setting gives the scores of a bad model. Files, settings and what a server
states show some of them, and how the replies end or break their format shows others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from pytest_ftgate.adapters.chat_template import SERVED_SCALE_FACT, TEMPLATE_FACT
from pytest_ftgate.adapters.lora import scale_of_file
from pytest_ftgate.gates.notes import text_note
from pytest_ftgate.gates.number_text import percent
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.requests.request import Adapter, Request
from pytest_ftgate.scoring.formats import goes_on
from pytest_ftgate.scoring.scores import Score, VariantScores
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.weights import quantised_type, weights_name

_TRAINED_END = "its chat template or its end token may differ from those in training"


class Cause(StrEnum):
    """What probably made a gate fail, as a sentence with a remedy; the names are filled in."""

    TEMPLATE = "another chat template: {difference}"
    SCALE = "the adapter has {times:g} times the weight of its training; remove scale"
    CONVERTED_SCALE = (
        "{file} has {times:.3g} times the weight of its training, by the adapter_config.json "
        "beside it; name the folder as adapter, or convert it again"
    )
    SERVED_SCALE = (
        "the server applies its adapter at scale {scale}; start it with --lora instead of "
        "--lora-scaled, or write extra: {{lora: [{{id: 0, scale: 1}}]}}"
    )
    OTHER_BASE = (
        "the adapter was trained on {base}, and the model is {model}; check that these are the "
        "same weights"
    )
    QUANTISED = "{model} is quantised to {kind}; a file of 8 or 16 bits shows what that costs"
    ENDS_AT_ONCE = f"{{count}} of {{of}} replies are empty: the model ends at once; {_TRAINED_END}"
    EMPTY = "{count} of {of} replies are empty: look at stop: and at the server's chat template"
    RUNS_ON = (
        "{count} of {of} replies give an answer and run on to max_tokens: the model does not end; "
        f"{_TRAINED_END}"
    )
    GOES_ON = (
        "{count} of {of} replies give an answer and run on to max_tokens: ask for the answer and "
        "nothing else, or set stop:"
    )
    CUT_OFF = (
        "{count} of {of} replies run to max_tokens, {before} before: the model may not end; "
        f"{_TRAINED_END}"
    )
    THOUGHT = (
        "the thought of {count} of {of} replies did not end: raise max_tokens, or switch thinking "
        "off"
    )


def cause_steps(outcome: Outcome, causes: Iterable[str]) -> Iterator[NextStep]:
    """Yield the step that looks at each of *causes*, if the gate failed."""
    if outcome is Outcome.FAILED:
        for cause in dict.fromkeys(causes):
            yield NextStep(StepKind.CHECK_CAUSE, {"cause": cause})


# How replies end ----------------------------------------------------------------------------------

#: With fewer replies, how they end shows nothing.
_MIN_REPLIES = 20
#: A cause is named from this share of the replies on.
_MIN_ENDING_SHARE = 0.5


def with_endings(
    suite: Suite, verdict: Verdict, before: VariantScores | None, after: VariantScores
) -> Verdict:
    """Return *verdict* with the reason if most replies are empty, or end at the token limit.

    It is the likely cause if the gate failed, and else a note. Where it says what to do about the
    replies, it stands in place of a change of the prompt.
    """
    variant = suite.variants.get(after.variant)
    endings = dict(ending_causes(before, after, tuned=variant is not None and variant.tuned))
    steps = tuple(cause_steps(verdict.outcome, endings.values()))
    if not steps:
        return replace(verdict, notes=(*map(text_note, endings.values()), *verdict.notes))
    explained = endings.keys() != {Cause.CUT_OFF}
    others = (s for s in verdict.next if not (explained and s.kind is StepKind.FIX_FORMAT))
    return replace(verdict, next=(*steps, *others))


def ending_causes(
    before: VariantScores | None, after: VariantScores, *, tuned: bool
) -> Iterator[tuple[Cause, str]]:
    """Yield why most replies are empty, or end at the token limit: the cause, and its sentence.

    A model that answers the cases of its own task and does not stop shows this by itself, whatever
    the replies *before* did. On skills cases a base may ramble too.
    """
    of, old = len(after.replies), before if before and before.replies else None
    if of < _MIN_REPLIES:
        return

    def is_common(count: Callable[[VariantScores], int], compared: VariantScores | None) -> bool:
        old_share = count(compared) / len(compared.replies) if compared else 0.0
        return count(after) / of >= max(_MIN_ENDING_SHARE, 2 * old_share)

    if is_common(_count_empty, old):
        cause = Cause.ENDS_AT_ONCE if tuned else Cause.EMPTY
        yield cause, cause.format(count=_count_empty(after), of=of)
    if is_common(_count_open_thoughts, None):
        yield Cause.THOUGHT, Cause.THOUGHT.format(count=_count_open_thoughts(after), of=of)
    elif is_common(_count_running_on, old if after.cases[0].skill else None):
        cause = Cause.RUNS_ON if tuned else Cause.GOES_ON
        yield cause, cause.format(count=_count_running_on(after), of=of)
    elif tuned and old and is_common(_count_cut_off, old):
        share = percent(_count_cut_off(old) / len(old.replies))
        counts = {"count": _count_cut_off(after), "of": of, "before": share}
        yield Cause.CUT_OFF, Cause.CUT_OFF.format(**counts)


def _count_empty(scores: VariantScores) -> int:
    return scores.empty_count


def _count_open_thoughts(scores: VariantScores) -> int:
    return sum(reply.has_no_answer for reply in scores.thoughts)


def _count_cut_off(scores: VariantScores) -> int:
    return scores.stop_reasons["length"]


def _count_running_on(scores: VariantScores) -> int:
    """Return how many replies give an answer first, and go on up to the token limit."""
    if not _count_cut_off(scores):
        return 0
    return sum(
        reply.stop == "length"
        and (goes_on(result.case, reply.text) or _error_kind(score) == "trailing text")
        for result in scores.case_results
        for reply, score in zip(result.replies, result.scores, strict=False)
    )


def _error_kind(score: Score) -> str:
    return score.format_error.kind if score.format_error else ""


# Files, settings and what a server states ---------------------------------------------------------


#: The key of ``extra`` by which a request to llama.cpp's server scales its adapters.
_SCALE_KEY = "lora"


def likely_causes(request: Request, facts: Mapping[str, str]) -> Iterator[str]:
    """Yield what may be wrong with a tuned model that answers *request*, with a remedy.

    *facts* are those of the variant.
    """
    yield from template_notes(facts)
    if request.adapter is not None:
        yield from _adapter_causes(request.adapter)
    # The request may set the scale itself.
    if SERVED_SCALE_FACT in facts and _SCALE_KEY not in request.extra:
        yield Cause.SERVED_SCALE.format(scale=facts[SERVED_SCALE_FACT])
    if provider_spec(request.provider).weights:
        yield from _weights_causes(request, facts)


def template_notes(facts: Mapping[str, str]) -> Iterator[str]:
    """Yield where the prompts of a variant with these *facts* differ from those of its training."""
    if TEMPLATE_FACT in facts:
        yield Cause.TEMPLATE.format(difference=facts[TEMPLATE_FACT])


def _adapter_causes(adapter: Adapter) -> Iterator[str]:
    if adapter.scale != 1:
        yield Cause.SCALE.format(times=adapter.scale)
    ratio = scale_of_file(adapter.path, adapter.sha256)
    if ratio is not None:
        yield Cause.CONVERTED_SCALE.format(file=adapter.path.name, times=ratio)


def _weights_causes(request: Request, facts: Mapping[str, str]) -> Iterator[str]:
    name, trained_on = weights_name(request.model), facts.get("adapter base", "")
    base = trained_on.rstrip("/").rpartition("/")[2]
    # The names of one model differ in case, and in dots, dashes and underscores.
    base, served = (re.sub(r"[\W_]+", "", text).casefold() for text in (base, name))
    if base not in served:
        yield Cause.OTHER_BASE.format(base=trained_on, model=name)
    kind = quantised_type(Path(request.model))
    if kind:
        yield Cause.QUANTISED.format(model=name, kind=kind)
