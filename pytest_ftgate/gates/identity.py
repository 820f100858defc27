"""Identity: is a variant what it claims to be, and does a baseline still answer alike."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.samples import Side, aligned
from pytest_ftgate.gates.units import percent
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Ask, Call
from pytest_ftgate.stats.proportions import mcnemar_midp
from pytest_ftgate.suite.formats import validator
from pytest_ftgate.suite.model import Case

__all__ = [
    "FEWEST",
    "Answers",
    "Identity",
    "drift",
    "facts",
    "held",
    "lineage",
    "notices",
    "prove",
    "prove_unlike",
    "sampled",
    "seeded",
    "served_model",
    "to_ask_anew",
]

#: Fewer replies than this show nothing.
FEWEST = 30
_PROVEN = 0.01

Answers = Mapping[str, Reply | FtgateError]


@dataclass(frozen=True, slots=True)
class Identity:
    """What is known of a variant: ``passed`` (proven), ``inconclusive`` (said) or ``invalid``."""

    outcome: Outcome
    sentence: str


def prove(probes: Sequence[Sequence[Ask]], answers: Answers) -> Identity:
    """Compare a tuned variant's free-text replies with its base's, and the base with itself.

    Even greedy replies differ from run to run, since batched decoding turns on the last bit and
    the texts part ways some words later. So what counts is how far two replies run alike: where
    the variant leaves the base's reply sooner than the base leaves its own, and where later. An
    adapter without effect does both equally often (sign test, one-sided).

    Args:
        probes: the same cases put to the variant, to its base, and to its base a second time.
        answers: what became of the calls.
    """
    texts = [_texts(asks, answers) for asks in probes]
    cases = sorted(set(texts[0]) & set(texts[1]) & set(texts[2]))
    n = len(cases)
    if n < FEWEST:
        return Identity(
            Outcome.INCONCLUSIVE, f"adapter not proven: {n} replies, {FEWEST} are needed"
        )
    tuned, base, again = ([text[case] for case in cases] for text in texts)
    agree, own = _same(tuned, base), _same(again, base)
    told = f"{agree} of {n} replies are the base model's; the base repeats itself on {own} of {n}"
    apart = [_alike(t, b) - _alike(a, b) for t, b, a in zip(tuned, base, again, strict=True)]
    later, sooner = sum(d > 0 for d in apart), sum(d < 0 for d in apart)
    if mcnemar_midp(later, sooner) <= _PROVEN:
        return Identity(Outcome.PASSED, f"tuned model proven: {told}")
    if 2 * own < n:
        # A base that says something else most times, as a sampled one does, can hide a change.
        return Identity(Outcome.INCONCLUSIVE, f"tuned model not proven: {told}")
    return Identity(Outcome.INVALID, f"replies no different from the base model's: {told}")


def prove_unlike(probes: Sequence[Sequence[Ask]], answers: Answers) -> Identity:
    """Compare a tuned variant's replies with recorded ones of its base, which is asked no more.

    How far the base agrees with itself is not known, so that nothing is proven; but a variant that
    says the same throughout is the base.

    Args:
        probes: the same cases put to the variant, and recorded of its base.
        answers: what became of the calls.
    """
    tuned, base = (_texts(asks, answers) for asks in probes)
    cases = set(tuned) & set(base)
    agree = sum(tuned[case] == base[case] for case in cases)
    told = f"{agree} of {len(cases)} replies are those recorded of the base"
    if len(cases) >= FEWEST and agree == len(cases):
        return Identity(Outcome.INVALID, f"replies no different from the base model's: {told}")
    return Identity(Outcome.INCONCLUSIVE, f"tuned model not proven, its base is recorded: {told}")


def _texts(asks: Sequence[Ask], answers: Answers) -> dict[str, str]:
    came = {ask.case.id: answers.get(ask.call.fingerprint) for ask in asks}
    return {key: reply.text.strip() for key, reply in came.items() if isinstance(reply, Reply)}


def _same(these: Sequence[str], those: Sequence[str]) -> int:
    return sum(one == other for one, other in zip(these, those, strict=True))


def _alike(one: str, other: str) -> int:
    return len(commonprefix([one, other]))  # noqa: RUF071 - by characters, as is meant


#: A schema that is in force is broken by no whole reply; so many may be an engine's own slips.
_SLIPS = 0.05
#: What servers promise of a schema is its structure; they may leave these to the model.
_LEFT_TO_THE_MODEL = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength"),
    *("maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems", "minProperties"),
    *("maxProperties", "contains", "default"),
)
#: Fewer replies asked twice than this say nothing of a seed.
_TWICE = 5
#: What was done where a setting was not taken, if something could be.
_INSTEAD = dict.fromkeys(
    ("output_config", "response_format"), "a tool that the model must use stood in for it"
)
#: Where less is stricter: without a bound inside them these would refuse what is right.
_CONTRARY = ("not", "if", "then", "else")
_LOOSER = {"oneOf": "anyOf"}
#: Keys under which names stand that are no keywords.
_NAMED = ("properties", "patternProperties", "$defs", "definitions")


def _undated(model: str) -> str:
    return re.sub(r"-(20\d{6}|20\d\d-\d\d-\d\d|latest)$", "", model)


def _plain(model: str, provider: str) -> str:
    """Return the name without what providers add to it: a date, at Bedrock also where it runs."""
    if provider == "bedrock":
        model = re.sub(r"^([a-z-]+\.)?anthropic\.|-v\d+(:\d+)?$", "", model)
    return _undated(model)


def _replies(asks: Sequence[Ask], answers: Answers) -> Iterator[tuple[Ask, Reply]]:
    for ask in asks:
        answer = answers.get(ask.call.fingerprint)
        if isinstance(answer, Reply):
            yield ask, answer


def served_model(asks: Sequence[Ask], answers: Answers) -> Identity:
    """Hold the model that the server says has answered against the declared one.

    A dated name (``…-20251001``) answers for the undated one. A server that says nothing, as
    local ones may, is taken at its word, and so is one that is asked for an ARN.

    Args:
        asks: of one model.
        answers: what became of the calls.
    """
    call = asks[0].call
    declared = call.served_as or call.model
    served = {reply.model for _, reply in _replies(asks, answers) if reply.model}
    if not declared or declared.startswith("arn:"):
        return Identity(Outcome.PASSED, f"asked for: {declared or 'no model is declared'}")
    mine = _plain(declared, call.provider)
    strangers = sorted(name for name in served if _plain(name, call.provider) != mine)
    if strangers:
        told = f"another model answered: {strangers[0]}, declared {declared}"
        return Identity(Outcome.INVALID, told)
    return Identity(Outcome.PASSED, f"served model: {', '.join(sorted(served)) or 'not stated'}")


def lineage(base: str, asks: Sequence[Ask], answers: Answers) -> Identity:
    """Hold the parent that the server lists for a tuned model against the declared base.

    Args:
        base: the declared one.
        asks: of the tuned model.
        answers: what became of the calls.
    """
    parents = {reply.facts.get("parent", "") for _, reply in _replies(asks, answers)} - {""}
    strangers = sorted(name for name in parents if _undated(name) != _undated(base))
    if strangers:
        told = f"the server lists {strangers[0]} as its parent, declared base {base}"
        return Identity(Outcome.INVALID, told)
    return Identity(Outcome.PASSED, f"parent: {', '.join(sorted(parents)) or 'not stated'}")


def held(asks: Sequence[Ask], answers: Answers) -> Identity:
    """Tell whether replies were held to the schema or the labels that the server was sent.

    Args:
        asks: of one variant.
        answers: what became of the calls.
    """
    whole = [
        (ask.call, reply)
        for ask, reply in _replies(asks, answers)
        if ask.call.constraint and reply.stop == "end"
    ]
    broken = [reply for call, reply in whole if not _keeps(call, reply.text)]
    told = f"the schema is broken in {len(broken)} of {len(whole)} whole replies"
    if len(broken) > _SLIPS * len(whole):
        return Identity(Outcome.INVALID, f"{told}: the server did not hold the model to it")
    if broken:
        return Identity(Outcome.INCONCLUSIVE, told)
    return Identity(Outcome.PASSED, told)


def _keeps(call: Call, text: str) -> bool:
    constraint = call.constraint or {}
    if "choice" in constraint:
        return text.strip() in constraint["choice"]
    checker = validator(json.dumps(_structure(constraint["json_schema"])))
    try:
        return bool(checker.is_valid(json.loads(text)))
    except (ValueError, RecursionError):
        return False


def _structure(schema: Any, *, named: bool = False) -> Any:
    """Return *schema* without what a server may leave to the model."""
    if isinstance(schema, list):
        return [_structure(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {
        key: value if key in ("enum", "const") else _structure(value, named=key in _NAMED)
        for key, value in schema.items()
        if named or key not in (*_LEFT_TO_THE_MODEL, *_CONTRARY)
    }
    # Of branches that differ in a bound alone, several hold once the bound is gone.
    return kept if named else {_LOOSER.get(key, key): value for key, value in kept.items()}


def sampled(asks: Sequence[Ask], answers: Answers) -> Identity:
    """Tell whether a temperature above 0 shows: repeats of a case then differ now and then.

    Args:
        asks: of one variant.
        answers: what became of the calls.
    """
    texts: dict[str, list[str]] = defaultdict(list)
    for ask, reply in _replies(asks, answers):
        if ask.call.constraint is None and ask.call.sampling.get("temperature"):
            texts[ask.case.id].append(reply.text)
    # A label is the same at every temperature; only longer texts can show that they were drawn.
    drawn = [own for own in texts.values() if len(own) > 1 and len(own[0].split()) > 4]  # noqa: PLR2004
    if len(drawn) >= FEWEST and all(len(set(own)) == 1 for own in drawn):
        declared = asks[0].call.sampling["temperature"]
        told = f"temperature {declared:g} shows no effect: {len(drawn)} cases have equal repeats"
        return Identity(Outcome.INCONCLUSIVE, told)
    return Identity(Outcome.PASSED, "")


def seeded(asks: Sequence[Ask], again: Sequence[Ask], answers: Answers) -> Identity:
    """Tell whether a seed shows: what is drawn twice with it is now and then the same.

    Args:
        asks: drawn with a seed.
        again: the same, with the same seed.
        answers: what became of the calls.
    """
    twice = [
        (one.text, two.text)
        for a, b in zip(asks, again, strict=True)
        if isinstance(one := answers.get(a.call.fingerprint), Reply)
        and isinstance(two := answers.get(b.call.fingerprint), Reply)
    ]
    same = sum(one == two for one, two in twice)
    if len(twice) < _TWICE or same:
        return Identity(Outcome.PASSED, f"seed: {same} of {len(twice)} asked twice are the same")
    seed = asks[0].call.sampling["seed"]
    told = f"seed {seed} shows no effect: none of {len(twice)} replies asked twice is the same"
    return Identity(Outcome.INCONCLUSIVE, told)


def notices(asks: Sequence[Ask], answers: Answers, declared: Collection[str]) -> Iterator[Identity]:
    """Yield what the server would not take, and when the model retires: said, never blocking.

    Args:
        asks: of one model.
        answers: what became of the calls.
        declared: the settings that the suite declares; others are the proofs' own affair.
    """
    replies = [reply for _, reply in _replies(asks, answers)]
    model = asks[0].call.model if asks else ""
    for setting in sorted({name for reply in replies for name in reply.unsent}):
        if setting in declared:
            instead = _INSTEAD.get(setting, "the replies came without it")
            yield Identity(Outcome.INCONCLUSIVE, f"{model} takes no {setting}; {instead}")
    for date in sorted({reply.facts["retires"] for reply in replies if "retires" in reply.facts}):
        yield Identity(Outcome.INCONCLUSIVE, f"{model} retires on {date}")


def facts(asks: Sequence[Ask], answers: Answers) -> dict[str, str]:
    """Return what a record should know of the variant that gave the replies.

    Args:
        asks: of one variant.
        answers: what became of the calls.
    """
    if not asks:
        return {}
    call, replies = asks[0].call, [reply for _, reply in _replies(asks, answers)]
    told = {
        "provider": call.provider,
        # Where local weights lie is a fact of this machine alone.
        "model": Path(call.model).name if call.provider == "llamacpp" else call.model,
        "address": call.base_url or "",
        "API version": call.api_version or "",
        "served as": ", ".join(sorted({reply.model for reply in replies if reply.model})),
        "sampling": ", ".join(f"{key} {value}" for key, value in call.sampling.items()),
        "not taken": ", ".join(sorted({name for reply in replies for name in reply.unsent})),
    }
    if call.adapter:
        told["adapter"] = f"{call.adapter.path.name} x {call.adapter.scale:g}"
        told["adapter sha256"] = call.adapter.sha256
    for reply in replies:
        told |= reply.facts
    return {key: value for key, value in told.items() if value}


#: One case in so many is asked anew, but no fewer than *FEWEST* in all.
_ONE_IN = 10
_FEWEST = 20
#: The risk of calling a baseline drifted that is not.
_ALARM = 0.01
_HALF = 0.5


def to_ask_anew(cases: tuple[Case, ...]) -> frozenset[str]:
    """Return the ids of the cases on which a recorded baseline is asked anew, spread evenly."""
    marked = [case.id for case in cases if case.marked or case.format]
    count = min(len(marked), max(_FEWEST, len(marked) // _ONE_IN))
    return frozenset(marked[i * len(marked) // count] for i in range(count))


def drift(then: Side, now: Side) -> str:
    """Say how a baseline has drifted between two askings of the same cases, or "".

    McNemar's mid-p, two-sided at 0.01; scores are read as right or wrong.
    """
    then, now = aligned(then, now)
    both = then.known & now.known
    was, is_ = then.values[both] > _HALF, now.values[both] > _HALF
    gains, losses = int((is_ & ~was).sum()), int((was & ~is_).sum())
    if 2.0 * min(mcnemar_midp(gains, losses), mcnemar_midp(losses, gains)) > _ALARM:
        return ""
    return (
        f"the recorded baseline has drifted: asked anew, {percent(float(was.mean()))} → "
        f"{percent(float(is_.mean()))} on {int(both.sum())} cases; it is not compared"
    )
