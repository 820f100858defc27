"""Warnings about a variant's prompt and examples, before any request is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pytest_ftgate.requests.contamination import PhraseIndex
from pytest_ftgate.requests.estimate import estimate_tokens, thought_tokens
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest, Request, distinct_requests
from pytest_ftgate.requests.workload import ROOM_TO_THINK, is_known_to_think
from pytest_ftgate.suite.model import Case, Variant
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.suite.rule import choice_labels
from pytest_ftgate.suite.templates import template_text
from pytest_ftgate.weights import slow_type

#: A system prompt of more tokens than this often contains rules that contradict each other.
_LONG = 1_000
#: A system prompt of more tokens than this dominates the input cost of a run.
_EXPENSIVE = 3_000
#: An input with fewer words may occur in a prompt by chance.
_FEWEST_WORDS = 4
#: A thought that takes more than this share of the token limit is cut off now and then.
_MAX_THOUGHT_SHARE = 0.5
#: A thought before any reply shows its length may take so many tokens.
_LIKELY_THOUGHT = 256
#: Suggested token limits are multiples of this.
_STEP = 500
#: The largest number of missing labels that a warning names.
_NAMED = 3


def lint(variant: Variant, case_requests: Sequence[CaseRequest]) -> Iterator[str]:
    """Yield a warning for each problem in the prompt, the examples or the requests of *variant*."""
    to_models = [item for item in case_requests if item.request.case is None]
    cases = tuple({item.case.id: item.case for item in to_models}.values())
    if variant.system and to_models:
        yield from _length_warnings(variant.system, distinct_requests(to_models))
        yield from _leak_warnings(variant.system, cases)
    yield from _label_warnings(variant, cases)
    yield from _weights_warnings(variant, case_requests)


def thought_warning(
    variant: Variant, replies: Iterable[Reply], limit: int, key: str = "max_tokens"
) -> str:
    """Return a warning if the model of *variant* is likely to be cut off while it thinks; or "".

    *replies* are earlier ones of the model, *limit* is that of the next ones, and *key* declares
    it.
    """
    lengths = [thought_tokens(reply) for reply in replies if reply.thinks]
    mean = round(sum(lengths) / len(lengths)) if lengths else 0
    if mean <= _MAX_THOUGHT_SHARE * limit and (mean or limit >= _LIKELY_THOUGHT):
        return ""
    if not mean and not is_known_to_think(variant):
        return ""
    wanted = -(-(2 * mean + limit) // _STEP) * _STEP if mean else ROOM_TO_THINK
    switch = provider_spec(variant.provider).thought_switch
    about = f" (about {mean:,} tokens)" if mean else ""
    problem = f"{variant.model} thinks{about}, but {key} is {limit:,} and cuts it off"
    return f"{problem}: set {key}: {wanted}" + f", or {switch}" * bool(switch)


def _weights_warnings(variant: Variant, case_requests: Sequence[CaseRequest]) -> Iterator[str]:
    is_file = provider_spec(variant.provider).weights == "gguf"
    for model in {item.request.model for item in case_requests} if is_file else ():
        if type_ := slow_type(Path(model)):
            slow = f"llama.cpp is slow with weights of type {type_} on this processor"
            yield f"{Path(model).name}: {slow}; Q8_0 of the same model answers sooner"


def _length_warnings(template: str, requests: Sequence[Request]) -> Iterator[str]:
    first_turns = [request.messages[0] for request in requests]
    tokens = [estimate_tokens(text) for role, text in first_turns if role == "system"]
    mean = sum(tokens) // len(requests)
    # Inserted documents are not instructions, and a model reads only one branch of a condition.
    instructions = min(max(tokens, default=0), estimate_tokens(template_text(template)))
    if instructions > _LONG:
        length = f"the system prompt has about {instructions:,} tokens"
        yield f"{length}; instructions of this length often contradict each other"
    if mean > _EXPENSIVE:
        length = f"about {mean:,} tokens of system prompt in each of {len(requests):,} requests"
        yield f"{length}: about {sum(tokens):,} tokens in all"


def _leak_warnings(template: str, cases: Sequence[Case]) -> Iterator[str]:
    ids = {*PhraseIndex(cases, _FEWEST_WORDS).case_ids_in(template_text(template))}
    leaked = [case for case in cases if case.id in ids]
    if leaked:
        count = f"{len(leaked):,} eval case{'s stand' if len(leaked) > 1 else ' stands'}"
        finding = f"{count} word for word in the system prompt, the first {leaked[0].location}"
        yield f"{finding}; take each out of the prompt or out of the cases"


def _label_warnings(variant: Variant, cases: Iterable[Case]) -> Iterator[str]:
    turns = (*variant.shots, *(turn for shot in variant.shot_pool for turn in shot.turns))
    shown = {text for role, text in turns if role == "assistant"}
    expected = {
        label for case in cases for label in choice_labels(case.format) if label in case.answers
    }
    missing = sorted(expected - shown)
    if turns and missing:
        share = f"the examples show {len(expected) - len(missing):,} of {len(expected):,} labels"
        named = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
        yield f"{share} that the cases expect; without {named}"
