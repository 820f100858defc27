"""A suite file becomes a `Suite`, or every error in it at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pytest_ftgate.errors import Fault, SuiteFaults, did_you_mean
from pytest_ftgate.readers.source import keys_of, sentence
from pytest_ftgate.readers.table import in_place, rows
from pytest_ftgate.readers.yaml import Document, Where, read_yaml
from pytest_ftgate.suite.cases import as_asked, score_fault, to_cases, unmet
from pytest_ftgate.suite.declaration import BRANCHES, DeclaredSuite
from pytest_ftgate.suite.formats import read_format
from pytest_ftgate.suite.gates import check_prompts, resolve_gates
from pytest_ftgate.suite.judges import Declared, declared_judges, resolve_judges
from pytest_ftgate.suite.ladder import resolve_ladder, unpriced
from pytest_ftgate.suite.model import Case, CostGate, Gate, ReplyRules, Suite, Variant
from pytest_ftgate.suite.plugins import PluginContributions, SuiteSource
from pytest_ftgate.suite.rule import Rule, function_fault
from pytest_ftgate.suite.scorers import read_score
from pytest_ftgate.suite.templates import check_user
from pytest_ftgate.suite.variants import check_called, check_expected, resolve_variants

__all__ = ["load", "read_declared", "resolved"]


def read_declared(source: SuiteSource, document: Document) -> DeclaredSuite | None:
    """Return the keys of *document* validated, or None where too little of it can be used.

    Each fault goes to *source*, and what it is about is left out.
    """
    value = document.value
    if not isinstance(value, dict):
        if value is not None:
            source.say(1, "a suite is a mapping of keys to values")
        return None
    # Cases in place are validated with those of case files, not here.
    shell = {**value, "cases": ""} if isinstance(value.get("cases"), list) else value
    if "reply" in shell:
        shell = {**shell, "reply": source.plugins.named(shell["reply"])}
    while True:
        try:
            declared = DeclaredSuite.model_validate(shell)
        except ValidationError as error:
            lacking = False
            for where, one in _placed(document, error).items():
                missing = one["type"] == "missing"
                # A key that is there and counts as missing was wrong, said, and left out.
                if not (missing and where in document.lines):
                    source.faults.append(_fault(document, one))
                if missing and len(where) == 1:
                    lacking = True
                else:
                    shell = _without(shell, where[:-1] if missing else where)
            if lacking:
                return None
            continue
        return declared


def _placed(document: Document, error: ValidationError) -> dict[Where, dict[str, Any]]:
    """Return one error for each place of the file; a union of types brings one for each type."""
    placed: dict[Where, dict[str, Any]] = {}
    for one in error.errors():
        where: Where = tuple(part for part in one["loc"] if part not in BRANCHES)
        while where and where not in document.lines and one["type"] != "missing":
            where = where[:-1]
        placed[where] = {**one, "loc": where}
    return placed


def _fault(document: Document, error: dict[str, Any]) -> Fault:
    where: Where = tuple(error["loc"])
    known = keys_of(_model_at(DeclaredSuite, where[:-1]))
    text = sentence(error, known, document.written.get(where))
    return document.fault(where, _within(where) + text)


def _without(value: Any, where: Where) -> Any:
    """Return *value* less what stands at *where*, so that the rest can be validated."""
    if not where:
        return {}
    key, *deeper = where
    if isinstance(value, dict) and key in value:
        kept = {k: v for k, v in value.items() if k != key}
        return {**kept, key: _without(value[key], tuple(deeper))} if deeper else kept
    return type(value)() if isinstance(value, dict | list) else None


def _within(where: Where) -> str:
    match where:
        case ("variants", name, _, *_):
            return f'variant "{name}": '
    return ""


def _model_at(model: type[BaseModel], where: Iterable[str | int]) -> type[BaseModel]:
    """Return the declared class that holds the keys at *where*."""
    for key in where:
        inner = _inner_model(model, str(key))
        model = inner or model
    return model


def _inner_model(model: type[BaseModel], key: str) -> type[BaseModel] | None:
    field = model.model_fields.get(key)
    for kind in _types_in(field.annotation) if field else ():
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _types_in(annotation: Any) -> Iterable[Any]:
    yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _types_in(inner)


def load(path: Path, root: Path, plugins: PluginContributions | None = None) -> Suite:
    """Read the suite file *path*.

    Args:
        path: a ``*.ftgate.yaml`` file.
        root: the directory that the files it names must lie below.
        plugins: what plugins add to what it may name.

    Raises:
        SuiteFaults: it cannot be used; all faults are named, each with its line and its remedy.
    """
    source = SuiteSource(
        root=root.resolve(), path=path.resolve(), plugins=plugins or PluginContributions()
    )
    text = source.text(source.path, 0, "suite")
    document = read_yaml(text or "", source.name(source.path))
    source.faults.extend(document.faults if text is not None else ())
    return resolved(source, document)


def resolved(source: SuiteSource, document: Document) -> Suite:
    """Return the suite that *document* declares.

    Args:
        source: where it stands, with the faults that reading it has met.
        document: the keys and values of a suite file, wherever they were written.

    Raises:
        SuiteFaults: it cannot be used, or *source* had faults before.
    """
    declared = read_declared(source, document)
    suite = _resolved(source, document, declared) if declared else None
    if source.faults or suite is None:
        raise SuiteFaults(source.name(source.path), source.faults)
    return suite


def _resolved(source: SuiteSource, document: Document, declared: DeclaredSuite) -> Suite:
    reply, judges = _reply(source, document, declared)
    cases = _cases(source, document, declared, reply)
    others = source.plugins.providers
    variants = resolve_variants(source, document, declared, cases, reply, others)
    gates = resolve_gates(source, document, declared, cases, reply, partial(_skill, source))
    baseline = _baseline(source, document, declared)
    check_expected(source, cases, variants)
    check_called(source, document, reply.format, variants)
    _check_priced(source, variants, baseline, gates.get("cost"))
    check_prompts(source, document, gates.get("forgetting"), variants.values())
    _check_judged(source, document, variants.values(), gates)
    return Suite(
        path=source.path,
        name=source.name(source.path),
        cases=tuple(case for case in cases if not case.holdout),
        holdout=tuple(case for case in cases if case.holdout),
        reply=reply,
        variants=variants,
        baseline=baseline,
        gates=gates,
        repeats=None if declared.repeats == "auto" else declared.repeats,
        **resolve_ladder(source, document, declared, variants, baseline),
        judges=resolve_judges(source, document, declared, judges, cases, reply, others),
    )


def _baseline(source: SuiteSource, document: Document, declared: DeclaredSuite) -> str:
    written = document.value["variants"]
    if not written:
        message = "variants: none declared; write current: {provider: anthropic, model: ...}"
        source.say(document.line(("variants",)), message)
    baseline = declared.baseline or next(iter(declared.variants), "")
    if baseline and baseline not in written:
        near = did_you_mean(baseline, declared.variants)
        source.say(document.line(("baseline",)), f'baseline "{baseline}" is no variant{near}')
    return baseline


def _skill(asking: SuiteSource, path: Path) -> tuple[Case, ...]:
    """Return the cases of the suite *path* as they are asked there, for a gate of another suite.

    Its variants and gates are not looked at: two suites may be skills of each other.
    """
    source = replace(asking, path=path)
    document = read_yaml(source.text(path, 0, "suite") or "", source.name(path))
    source.faults.extend(document.faults)
    declared = read_declared(source, document)
    if declared is None:
        return ()
    reply, judges = _reply(source, document, declared)
    if judges:
        told = "reply.score: a judge cannot mark a skill; forgetting is marked by rule"
        source.say(document.line(("reply", "score")), told)
    cases = _cases(source, document, declared, reply)
    line = document.line(("prompt",))
    prompt = source.find(declared.prompt, line, "prompt") if declared.prompt else None
    system = source.text(prompt, line, "prompt") if prompt else None
    return as_asked(source, cases, system, declared.user, reply.max_tokens)


def _check_priced(
    source: SuiteSource, variants: Mapping[str, Variant], baseline: str, cost: Gate | None
) -> None:
    wrong = unpriced(cost, variants, baseline) if isinstance(cost, CostGate) else ""
    if cost and wrong:
        source.say(cost.line, f"cost: {wrong}")


def _check_judged(
    source: SuiteSource, document: Document, variants: Iterable[Variant], gates: Mapping[str, Gate]
) -> None:
    """Refuse a gate that would silently judge nobody."""
    gated = [variant for variant in variants if variant.gated]
    if source.faults:
        return
    if not gated:
        message = "variants: all are gated: false, so nothing would be judged"
        source.say(document.line(("variants",)), message)
    elif "forgetting" in gates and not any(variant.tuned for variant in gated):
        message = "forgetting: no gated variant is tuned; give one an adapter or a base"
        source.say(gates["forgetting"].line, message)
    elif "data" in gates and not any(variant.training_data for variant in gated):
        message = "data: no gated variant has training_data; name the file it was tuned on"
        source.say(gates["data"].line, message)


def _reply(
    source: SuiteSource, document: Document, declared: DeclaredSuite
) -> tuple[ReplyRules, tuple[Declared, ...]]:
    rules = tuple(
        read_format(source, rule, partial(_format_line, document, index))
        for index, rule in enumerate(declared.reply.format)
    )
    labelled = any(rule.kind == "choice" for rule in rules)
    usual = "choice" if labelled else "exact"
    # Where the score was wrong, and said, the cases are not held to the usual one.
    wrong = declared.reply.score is None and ("reply", "score") in document.lines
    line = document.line(("reply", "score"))
    score = read_score(source, declared.reply.score or Rule("python" if wrong else usual), line)
    score, judges = declared_judges(source, document, score)
    strange = score_fault(score, rules)
    if strange:
        source.say(line, f"reply.score: {strange}")
    named = [("score", score, line)]
    named += [("format", r, _format_line(document, i, r.kind)) for i, r in enumerate(rules)]
    for key, rule, line in named:
        fault = function_fault(rule, source.path.parent)
        if fault:
            source.say(line, f"reply.{key}: {fault}")
    longest = declared.reply.max_tokens or 1024
    return ReplyRules(format=rules, score=score, max_tokens=longest), judges


def _format_line(document: Document, index: int, *keys: str | int) -> int:
    """Return the line of a format of the suite, or of what stands in it; one needs no list."""
    where: Where = ("reply", "format")
    listed = (*where, index) in document.lines
    return document.line((*where, index, *keys) if listed else (*where, *keys))


def _cases(
    source: SuiteSource, document: Document, declared: DeclaredSuite, reply: ReplyRules
) -> tuple[Case, ...]:
    line = document.line(("cases",))
    before = len(source.faults)
    if isinstance(document.value["cases"], list):
        found = in_place(source.path, document, ("cases",))
    else:
        paths = source.files(str(declared.cases), line, "cases")
        found = (row for path in paths for row in rows(source, path, line))
    cases = to_cases(source, found, reply)
    if all(case.holdout for case in cases) and len(source.faults) == before:
        held = "all are holdout, so nothing would be asked first"
        source.say(line, f"cases: {held}" if cases else "there are no cases")
    unknown = unmet(reply.score, cases) if len(source.faults) == before else None
    if unknown:
        source.say(document.line(("reply", "score")), f"reply.score: {unknown}")
    check_user(source, document.line(("user",)), "user", declared.user, cases)
    return cases
