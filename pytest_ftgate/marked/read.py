"""From the marks of a test function to what is asked and how it is judged, or to every fault."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from inspect import getsource, unwrap
from pathlib import Path
from types import FunctionType
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from pytest_ftgate.errors import SuiteFaults, did_you_mean
from pytest_ftgate.gate.feasible import refuse_impossible
from pytest_ftgate.gate.looks import Look
from pytest_ftgate.marked.lines import SUITE, lines_of
from pytest_ftgate.marked.slot import Marked
from pytest_ftgate.run.offered import offered
from pytest_ftgate.run.suites import prepared, suite_at
from pytest_ftgate.suite.declared import Count, Margin, Share
from pytest_ftgate.suite.faults import keys_of, sentence
from pytest_ftgate.suite.gates import DEFAULT_DROP
from pytest_ftgate.suite.loader import resolved
from pytest_ftgate.suite.margins import RateGate
from pytest_ftgate.suite.model import Case, ReplyRules, Suite, Variant
from pytest_ftgate.suite.rules import Rule
from pytest_ftgate.suite.source import Source
from pytest_ftgate.suite.yaml import Document, Where

__all__ = ["read_marks"]


class _Mark(BaseModel):
    """The arguments of ``@pytest.mark.ftgate``."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    suite: str | os.PathLike[str] | None = None
    cases: Any = None
    variants: Any = None
    prompt: str | os.PathLike[str] | None = None
    max_drop: Margin | None = None
    min: Share | None = None
    repeats: Count | None = None
    tags: str | tuple[str, ...] = ()
    evidence: Literal["statistics", "point"] = "statistics"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a marked function stands.

    Attributes:
        name: of the function in its module, with its classes.
        lines: of the arguments of its marks.
    """

    session: pytest.Session
    source: Source
    function: FunctionType
    name: str
    lines: Mapping[Where, int]

    def line(self, *where: str) -> int:
        return self.lines.get(where, self.lines[()])

    def say(self, key: str, message: str) -> None:
        self.source.say(self.line(key), message)

    def found(self, written: str) -> Path:
        """Return the file that *written* names: beside the test file, or from the root."""
        beside, below = (folder / written for folder in (self.folder, self.source.root))
        return below if below.exists() and not beside.exists() else beside

    @property
    def folder(self) -> Path:
        return self.source.path.parent


def read_marks(definition: pytest.Function, *, planned: bool) -> Marked:
    """Return what the marks of a function come to; those nearer to it win, argument by argument.

    Args:
        definition: the function.
        planned: it takes replies that are asked before it is run.

    Raises:
        SuiteFaults: they cannot be used; every fault is named, with its line and its remedy.
    """
    function = unwrap(definition.function)
    root, path = definition.config.rootpath.resolve(), definition.path.resolve()
    place = _Place(
        session=definition.session,
        source=Source(root=root, path=path),
        function=function,
        name=definition.nodeid.partition("::")[2],
        lines=lines_of(function),
    )
    mark = _read(place, definition)
    suite = _suite(place, mark) if mark and not place.source.faults else None
    if mark is None or suite is None or place.source.faults:
        raise SuiteFaults(place.source.name(path), place.source.faults)
    return _marked(place, mark, suite, planned=planned)


def _read(place: _Place, definition: pytest.Function) -> _Mark | None:
    given: dict[str, Any] = {}
    for mark in reversed([*definition.iter_markers("ftgate")]):
        if len(mark.args) > 1:
            told = "a mark names one suite file; a function for two takes two functions"
            place.say(SUITE, told)
        given |= [(SUITE, one) for one in mark.args[:1]]
        given |= mark.kwargs
    try:
        return _Mark.model_validate(given)
    except ValidationError as error:
        known = tuple(key for key in keys_of(_Mark) if key != SUITE)
        for one in {str(one["loc"][0]): one for one in reversed(error.errors())}.values():
            told = sentence({**one, "loc": one["loc"][:1]}, known, None)
            place.say(str(one["loc"][0]), told.replace("unknown key", "unknown argument"))
        return None


# The suite ------------------------------------------------------------------------------------


def _suite(place: _Place, mark: _Mark) -> Suite | None:
    try:
        return _of_file(place, mark) if mark.suite is not None else _in_place(place, mark)
    except SuiteFaults as error:
        place.source.faults.extend(error.faults)
        return None


def _of_file(place: _Place, mark: _Mark) -> Suite | None:
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
    return None if place.source.faults else suite_at(place.session, path.resolve())


def _in_place(place: _Place, mark: _Mark) -> Suite | None:
    for key, example in (("cases", '"refunds.cases.jsonl"'), ("variants", '{"current": {...}}')):
        if getattr(mark, key) is None:
            told = f"the mark names no suite file, so it needs {key}, such as {key}={example}"
            place.say(key, told)
    if place.source.faults:
        return None
    value = {
        "cases": _rows(place, mark.cases),
        "variants": _plain(mark.variants),
        "reply": {"score": Rule("marked")},
        "gates": {"accuracy": {}},
    }
    value |= {"prompt": _relative(place, mark.prompt)} if mark.prompt is not None else {}
    document = Document(place.source.name(place.source.path), value, place.lines, {})
    others = offered(place.session, place.source.path)
    suite = resolved(place.source, document, others)
    # Told from those of other functions of the module, whose cases and variants are others.
    return prepared(place.session.config, replace(suite, name=f"{suite.name}::{place.name}"))


def _rows(place: _Place, cases: Any) -> Any:
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


def _relative(place: _Place, written: str | os.PathLike[str]) -> str:
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


# How it is judged -----------------------------------------------------------------------------


def _marked(place: _Place, mark: _Mark, suite: Suite, *, planned: bool) -> Marked:
    line, name = place.line(), place.source.name(place.source.path)
    neither = mark.min is None and mark.max_drop is None
    drop = DEFAULT_DROP["accuracy"] if neither else mark.max_drop
    gate = RateGate(
        kind="accuracy", line=line, min=mark.min, max_drop=drop, evidence=mark.evidence,
        called=place.name,
    )  # fmt: skip
    repeats = mark.repeats or suite.repeats
    suite = replace(suite, repeats=repeats)
    cases, variants = _tagged(place, mark, suite), _chosen(place, mark, suite)
    faults = place.source.faults
    score = Rule("marked", _code(place.function))
    rules = Suite(
        path=place.source.path,
        name=name,
        cases=tuple(replace(case, score=score, format=(), must_pass=False) for case in cases),
        reply=ReplyRules(score=score),
        variants={key: replace(one, gated=key in variants) for key, one in suite.variants.items()},
        baseline=suite.baseline,
        gates={"accuracy": gate},
        repeats=repeats,
    )
    if cases and not faults:
        refuse_impossible(rules)
    if faults:
        raise SuiteFaults(name, faults)
    return Marked(
        suite=suite,
        rules=rules,
        gate=gate,
        variants=tuple(variants.values()),
        look=_look(suite, cases),
        planned=planned,
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


def _tagged(place: _Place, mark: _Mark, suite: Suite) -> tuple[Case, ...]:
    wanted = (mark.tags,) if isinstance(mark.tags, str) else mark.tags
    known = {tag for case in suite.cases for tag in case.tags}
    for tag in wanted:
        if tag not in known:
            near = did_you_mean(tag, known) or (
                f"; known: {', '.join(sorted(known))}" * bool(known)
            )
            place.say("tags", f'tags: no case has the tag "{tag}"{near}')
    return tuple(c for c in suite.cases if not wanted or not set(wanted).isdisjoint(c.tags))


def _chosen(place: _Place, mark: _Mark, suite: Suite) -> dict[str, Variant]:
    if mark.suite is None or mark.variants is None:
        return {name: one for name, one in suite.variants.items() if one.gated}
    named = [mark.variants] if isinstance(mark.variants, str) else [*mark.variants]
    for name in named:
        if name not in suite.variants:
            near = did_you_mean(str(name), suite.variants)
            told = near or f"; known: {', '.join(suite.variants)}"
            place.say("variants", f'variants: unknown variant "{name}"{told}')
    return {name: suite.variants[name] for name in named if name in suite.variants}
