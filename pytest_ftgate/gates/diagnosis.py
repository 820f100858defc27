"""Causes: what probably made a gate fail.

A wrong file or a wrong setting gives the scores of a bad model. Files, settings and what a server
states show some of them, and how the replies end or break their format shows others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pytest_ftgate.gates.notes import Cause, Note, note
from pytest_ftgate.gates.statements import NextStep, StepKind
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.requests.reply import SERVED_SCALE_FACT, TEMPLATE_FACT
from pytest_ftgate.requests.request import Adapter, Request
from pytest_ftgate.scoring.formats import goes_on
from pytest_ftgate.scoring.scores import Score, VariantScores
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.providers import provider_spec


def cause_steps(outcome: Outcome, causes: Iterable[Note]) -> Iterator[NextStep]:
    """Yield the step that looks at each of *causes*, if the gate failed."""
    if outcome is Outcome.FAILED:
        for cause in causes:
            yield NextStep(StepKind.CHECK_CAUSE, cause.values_with("cause"))


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
    endings = [*ending_causes(before, after, tuned=variant is not None and variant.tuned)]
    steps = tuple(cause_steps(verdict.outcome, endings))
    if not steps:
        return replace(verdict, notes=(*endings, *verdict.notes))
    explained = any(ending.kind != Cause.CUT_OFF for ending in endings)
    others = (s for s in verdict.next if not (explained and s.kind is StepKind.FIX_FORMAT))
    return replace(verdict, next=(*steps, *others))


def ending_causes(
    before: VariantScores | None, after: VariantScores, *, tuned: bool
) -> Iterator[Note]:
    """Yield why most replies are empty, or end at the token limit.

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
        yield note(cause, count=_count_empty(after), of=of)
    if is_common(_count_open_thoughts, None):
        is_new = tuned and old is not None and not old.thoughts
        yield note(Cause.THOUGHT, count=_count_open_thoughts(after), of=of, is_new=is_new)
    elif is_common(_count_running_on, old if after.cases[0].skill else None):
        cause = Cause.RUNS_ON if tuned else Cause.GOES_ON
        yield note(cause, count=_count_running_on(after), of=of)
    elif tuned and old and is_common(_count_cut_off, old):
        share = _count_cut_off(old) / len(old.replies)
        yield note(Cause.CUT_OFF, count=_count_cut_off(after), of=of, before=share)


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


def likely_causes(request: Request, facts: Mapping[str, str]) -> Iterator[Note]:
    """Yield what may be wrong with a tuned model that answers *request*.

    *facts* are those of the variant.
    """
    yield from template_notes(facts)
    if request.adapter is not None:
        yield from _adapter_causes(request.adapter)
    # The request may set the scale itself.
    if SERVED_SCALE_FACT in facts and _SCALE_KEY not in request.extra:
        yield note(Cause.SERVED_SCALE, scale=facts[SERVED_SCALE_FACT])
    if provider_spec(request.provider).weights:
        yield from _weights_causes(request, facts)


def template_notes(facts: Mapping[str, str]) -> Iterator[Note]:
    """Yield where the prompts of a variant with these *facts* differ from those of its training."""
    if TEMPLATE_FACT in facts:
        yield note(Cause.TEMPLATE, difference=facts[TEMPLATE_FACT])


def _adapter_causes(adapter: Adapter) -> Iterator[Note]:
    from pytest_ftgate.adapters.lora import scale_of_file

    if adapter.scale != 1:
        yield note(Cause.SCALE, times=adapter.scale)
    ratio = scale_of_file(adapter.path, adapter.sha256)
    if ratio is not None:
        yield note(Cause.CONVERTED_SCALE, file=adapter.path.name, times=ratio)


def _weights_causes(request: Request, facts: Mapping[str, str]) -> Iterator[Note]:
    from pytest_ftgate.weights import quantised_type, weights_name

    name, trained_on = weights_name(request.model), facts.get("adapter base", "")
    base = trained_on.rstrip("/").rpartition("/")[2]
    # The names of one model differ in case, and in dots, dashes and underscores.
    base, served = (re.sub(r"[\W_]+", "", text).casefold() for text in (base, name))
    # Weights that were read from a GGUF file have the folder of that file as their name.
    is_its_folder = (
        Path(trained_on).is_absolute() and Path(trained_on) == Path(request.model).parent
    )
    if base not in served and not is_its_folder:
        yield note(Cause.OTHER_BASE, base=trained_on, model=name)
    kind = quantised_type(Path(request.model))
    if kind:
        yield note(Cause.QUANTISED, model=name, type=kind)
