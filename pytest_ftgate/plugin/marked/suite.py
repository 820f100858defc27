"""The suite of a marked function: named by its mark, or declared in it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from inspect import getsource
from pathlib import Path
from types import FunctionType
from typing import Any

from pytest_ftgate.errors import SuiteFaults, did_you_mean
from pytest_ftgate.gates.feasibility import refuse_impossible
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.plugin.marked.marks import SUITE, Mark, Marked, Place
from pytest_ftgate.plugin.suites import offered, prepared, suite_at
from pytest_ftgate.readers.yaml import Document
from pytest_ftgate.suite.gates import DEFAULT_DROP
from pytest_ftgate.suite.loader import resolved
from pytest_ftgate.suite.model import Case, RateGate, ReplyRules, Suite, Variant
from pytest_ftgate.suite.rule import Rule

__all__ = ["marked", "named_suite"]


def named_suite(place: Place, mark: Mark) -> Suite | None:
    """Return the suite that *mark* names or declares, or None with its faults noted."""
    try:
        return _of_file(place, mark) if mark.suite is not None else _in_place(place, mark)
    except SuiteFaults as error:
        place.source.faults.extend(error.faults)
        return None


def _of_file(place: Place, mark: Mark) -> Suite | None:
    written = os.fspath(mark.suite or "")
    for key in ("cases", "prompt"):
        if getattr(mark, key) is not None:
            place.say(key, f"{key}: {written} names its own; remove {key}=, or the file")
    if not (mark.variants is None or isinstance(mark.variants, str | list | tuple)):
        told = f'variants: {written} declares them; name those to judge: variants=["current"]'
        place.say("variants", told)
    elif mark.variants is not None and not mark.variants:
        place.say("variants", "variants: the list is empty; name a variant, or leave it out")
    path = place.found(written)
    if not path.is_file():
        folder = place.source.name(place.folder)
        looked = "" if folder == "." else f"{folder}/ and in "
        place.say(SUITE, f"{written} does not exist (looked in {looked}{place.source.root})")
        return None
    return suite_at(place.session, path.resolve())


def _in_place(place: Place, mark: Mark) -> Suite | None:
    for key, example in (("cases", '"refunds.cases.jsonl"'), ("variants", '{"current": {...}}')):
        if getattr(mark, key) is None:
            told = f"the mark names no suite file, so it needs {key}, such as {key}={example}"
            place.say(key, told)
    if mark.cases is None or mark.variants is None:
        return None
    value = {
        "cases": _rows(place, mark.cases),
        "variants": _plain(mark.variants),
        "reply": {"score": Rule("marked")},
        "gates": {"accuracy": {}},
    }
    value |= {"prompt": _relative(place, mark.prompt)} if mark.prompt is not None else {}
    document = Document(place.source.name(place.source.path), value, place.lines, {})
    source = replace(place.source, plugins=offered(place.session, place.source.path))
    suite = resolved(source, document)
    # Told from those of other functions of the module, whose cases and variants are others.
    return prepared(place.session.config, replace(suite, name=f"{suite.name}::{place.name}"))


def _rows(place: Place, cases: Any) -> Any:
    if isinstance(cases, str | os.PathLike):
        return _relative(place, cases)
    return [_plain(one) for one in cases] if isinstance(cases, Sequence) else cases


def _plain(value: Any) -> Any:
    """Return what YAML would have made of *value*: mappings and lists of plain values."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _relative(place: Place, written: str | os.PathLike[str]) -> str:
    """Return *written* as seen from the test file's folder."""
    pattern = os.fspath(written)
    root = place.source.root
    if (
        Path(pattern).is_absolute()
        or any(place.folder.glob(pattern))
        or not any(root.glob(pattern))
    ):
        return pattern
    return os.path.relpath(root / pattern, place.folder)


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
