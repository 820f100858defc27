"""How a marked function judges: the cases and variants it chooses, and its margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from inspect import getsource
from types import FunctionType

from pytest_ftgate.errors import SuiteFaults, did_you_mean
from pytest_ftgate.gate.feasible import refuse_impossible
from pytest_ftgate.gate.looks import Look
from pytest_ftgate.marked.place import Mark, Place
from pytest_ftgate.marked.slot import Marked
from pytest_ftgate.suite.gates import DEFAULT_DROP
from pytest_ftgate.suite.margins import RateGate
from pytest_ftgate.suite.model import Case, ReplyRules, Suite, Variant
from pytest_ftgate.suite.rules import Rule

__all__ = ["marked"]


def marked(place: Place, mark: Mark, suite: Suite, *, planned: bool) -> Marked:
    """Return what the function judges of *suite*, and by which margins.

    Args:
        place: where it stands.
        mark: what its marks say.
        suite: whose cases are put to the variants.
        planned: it takes replies that are asked before it is run.

    Raises:
        SuiteFaults: tags or variants are unknown, or the margins can never be shown.
    """
    suite = replace(suite, repeats=mark.repeats or suite.repeats)
    cases, variants = _tagged(place, mark, suite), _chosen(place, mark, suite)
    gate = _gate(place, mark)
    rules = _rules(place, suite, gate, cases, variants)
    faults = place.source.faults
    if cases and not faults:
        refuse_impossible(rules)
    if faults:
        raise SuiteFaults(rules.name, faults)
    return Marked(
        suite=suite,
        rules=rules,
        gate=gate,
        variants=tuple(variants.values()),
        look=_look(suite, cases),
        planned=planned,
    )


def _gate(place: Place, mark: Mark) -> RateGate:
    neither = mark.min is None and mark.max_drop is None
    return RateGate(
        kind="accuracy",
        line=place.line(),
        min=mark.min,
        max_drop=DEFAULT_DROP["accuracy"] if neither else mark.max_drop,
        evidence=mark.evidence,
        called=place.name,
    )


def _rules(
    place: Place,
    suite: Suite,
    gate: RateGate,
    cases: Sequence[Case],
    judged: Mapping[str, Variant],
) -> Suite:
    """Return the suite that the function is for the statistics: its cases, marked by it."""
    score = Rule("marked", _code(place.function))
    return replace(
        suite,
        path=place.source.path,
        name=place.source.name(place.source.path),
        cases=tuple(replace(case, score=score, format=(), must_pass=False) for case in cases),
        reply=ReplyRules(score=score),
        variants={key: replace(one, gated=key in judged) for key, one in suite.variants.items()},
        gates={gate.kind: gate},
        judges=(),
    )


def _look(suite: Suite, cases: Sequence[Case]) -> Look:
    some = frozenset(case.id for case in cases) if len(cases) < len(suite.cases) else None
    return Look(cases=some, repeats=suite.repeats or 1)


def _code(function: FunctionType) -> str:
    """Return a digest of the function's source; what was accepted of another is stale."""
    try:
        told = getsource(function).encode()
    except (OSError, TypeError):
        told = function.__code__.co_code
    return sha256(told).hexdigest()[:16]


def _tagged(place: Place, mark: Mark, suite: Suite) -> tuple[Case, ...]:
    wanted = (mark.tags,) if isinstance(mark.tags, str) else mark.tags
    known = {tag for case in suite.cases for tag in case.tags}
    for tag in wanted:
        if tag not in known:
            others = f"; known: {', '.join(sorted(known))}" if known else "; no case has tags"
            near = did_you_mean(tag, known) or others
            place.say("tags", f'tags: no case has the tag "{tag}"{near}')
    return tuple(c for c in suite.cases if not wanted or not set(wanted).isdisjoint(c.tags))


def _chosen(place: Place, mark: Mark, suite: Suite) -> dict[str, Variant]:
    if mark.suite is None or not isinstance(mark.variants, str | list | tuple):
        return {name: one for name, one in suite.variants.items() if one.gated}
    named = [mark.variants] if isinstance(mark.variants, str) else [*mark.variants]
    for name in named:
        if name not in suite.variants:
            near = did_you_mean(str(name), suite.variants)
            told = near or f"; known: {', '.join(suite.variants)}"
            place.say("variants", f'variants: unknown variant "{name}"{told}')
    return {name: suite.variants[name] for name in named if name in suite.variants}
