"""From a suite file to a Suite, or to every fault in it at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from pytest_ftgate.errors import SuiteFaults, did_you_mean
from pytest_ftgate.suite.cases import as_asked, to_cases
from pytest_ftgate.suite.declared import DeclaredSuite
from pytest_ftgate.suite.economics import resolve_ladder
from pytest_ftgate.suite.expected import score_fault, unmet
from pytest_ftgate.suite.forgetting import check_prompts
from pytest_ftgate.suite.gates import resolve_gates
from pytest_ftgate.suite.json_schema import read_format
from pytest_ftgate.suite.judges import Declared, declared_judges, resolve_judges
from pytest_ftgate.suite.margins import CostGate, Gate
from pytest_ftgate.suite.model import Case, ReplyRules, Suite, Variant
from pytest_ftgate.suite.offers import Offers
from pytest_ftgate.suite.prompt import check_user
from pytest_ftgate.suite.reading import read_declared
from pytest_ftgate.suite.rows import in_place, rows
from pytest_ftgate.suite.rules import Rule, function_fault
from pytest_ftgate.suite.scores import read_score
from pytest_ftgate.suite.source import Source
from pytest_ftgate.suite.tariffs import unpriced
from pytest_ftgate.suite.tools import check_called, check_expected
from pytest_ftgate.suite.variants import resolve_variants
from pytest_ftgate.suite.yaml import Document, Where, read_yaml

__all__ = ["load", "resolved"]


def load(path: Path, root: Path, offers: Offers | None = None) -> Suite:
    """Read the suite file *path*.

    Args:
        path: a ``*.ftgate.yaml`` file.
        root: the directory that the files it names must lie below.
        offers: what plugins add to what it may name.

    Raises:
        SuiteFaults: it cannot be used; all faults are named, each with its line and its remedy.
    """
    source = Source(root=root.resolve(), path=path.resolve(), offers=offers or Offers())
    text = source.text(source.path, 0, "suite")
    document = read_yaml(text or "", source.name(source.path))
    source.faults.extend(document.faults if text is not None else ())
    return resolved(source, document)


def resolved(source: Source, document: Document) -> Suite:
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


def _resolved(source: Source, document: Document, declared: DeclaredSuite) -> Suite:
    reply, judges = _reply(source, document, declared)
    cases = _cases(source, document, declared, reply)
    others = source.offers.providers
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


def _baseline(source: Source, document: Document, declared: DeclaredSuite) -> str:
    written = document.value["variants"]
    if not written:
        message = "variants: none declared; write current: {provider: anthropic, model: ...}"
        source.say(document.line(("variants",)), message)
    baseline = declared.baseline or next(iter(declared.variants), "")
    if baseline and baseline not in written:
        near = did_you_mean(baseline, declared.variants)
        source.say(document.line(("baseline",)), f'baseline "{baseline}" is no variant{near}')
    return baseline


def _skill(asking: Source, path: Path) -> tuple[Case, ...]:
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
    source: Source, variants: Mapping[str, Variant], baseline: str, cost: Gate | None
) -> None:
    wrong = unpriced(cost, variants, baseline) if isinstance(cost, CostGate) else ""
    if cost and wrong:
        source.say(cost.line, f"cost: {wrong}")


def _check_judged(
    source: Source, document: Document, variants: Iterable[Variant], gates: Mapping[str, Gate]
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
    source: Source, document: Document, declared: DeclaredSuite
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
    source: Source, document: Document, declared: DeclaredSuite, reply: ReplyRules
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
