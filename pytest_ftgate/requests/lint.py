"""Warnings about a variant's prompt and examples, before anything is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pytest_ftgate.requests.estimate import tokens_in
from pytest_ftgate.requests.request import Ask, Call, distinct
from pytest_ftgate.suite.few_shot import in_order
from pytest_ftgate.suite.model import Case, Variant
from pytest_ftgate.suite.templates import written

__all__ = ["lint"]

#: A system prompt of more tokens than this often holds rules that exclude each other.
_LONG = 1_000
#: One of more tokens than this is most of what a run reads.
_DEAR = 3_000
#: An input of fewer words may stand in a prompt by chance.
_FEWEST_WORDS = 4
#: How many of the labels that are missing are named.
_NAMED = 3


def lint(variant: Variant, asks: Sequence[Ask]) -> Iterator[str]:
    """Yield what is likely to mislead *variant*, a sentence each.

    Args:
        variant: the variant.
        asks: the suite's cases put to it.
    """
    asked = [ask for ask in asks if ask.call.case is None]
    cases = tuple({ask.case.id: ask.case for ask in asked}.values())
    if variant.system and asked:
        yield from _length(variant.system, distinct(asked))
        yield from _given_away(variant.system, cases)
    yield from _labels(variant, cases)


def _length(template: str, calls: Sequence[Call]) -> Iterator[str]:
    heads = [call.messages[0] for call in calls]
    tokens = [tokens_in(text) for role, text in heads if role == "system"]
    each = sum(tokens) // len(calls)
    # A document that is put in is no instruction, and one of two branches is not read.
    own = min(max(tokens, default=0), tokens_in(written(template)))
    if own > _LONG:
        told = f"the system prompt has about {own:,} tokens"
        yield f"{told}; instructions of this length often contradict each other"
    if each > _DEAR:
        told = f"about {each:,} tokens of system prompt in each of {len(calls):,} calls"
        yield f"{told}: about {sum(tokens):,} tokens in all"


def _given_away(template: str, cases: Iterable[Case]) -> Iterator[str]:
    prompt = _words(written(template))
    inputs = [(case, _words(case.shown)) for case in cases]
    found = [c for c, text in inputs if len(text.split()) >= _FEWEST_WORDS and text in prompt]
    if found:
        count = f"{len(found):,} eval case{'s stand' if len(found) > 1 else ' stands'}"
        told = f"{count} word for word in the system prompt, the first {found[0].where}"
        yield f"{told}; take each out of the prompt or out of the cases"


def _words(text: str) -> str:
    """Return the words of *text*, each with a space on both sides, so that none ends inside one."""
    return " " + "".join(f"{word} " for word in in_order(text))


def _labels(variant: Variant, cases: Iterable[Case]) -> Iterator[str]:
    turns = (*variant.shots, *(turn for shot in variant.pool for turn in shot.turns))
    shown = {text for role, text in turns if role == "assistant"}
    expected = {label for case in cases for label in _labels_of(case)}
    missing = sorted(expected - shown)
    if turns and missing:
        told = f"the examples show {len(expected) - len(missing):,} of {len(expected):,} labels"
        named = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
        yield f"{told} that the cases expect; without {named}"


def _labels_of(case: Case) -> set[str]:
    answers = case.expected if isinstance(case.expected, list) else [case.expected]
    labels = {label for rule in case.format if rule.kind == "choice" for label in rule.value}
    return labels & {answer for answer in answers if isinstance(answer, str)}
