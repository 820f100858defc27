"""The suite of a marked function: named by its mark, or declared in it."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import FunctionType
from typing import Any

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.gates.design import Look
from pytest_ftgate.plugin.marked.marks import SUITE, Mark, MarkedFunction, MarkLocation, Metric
from pytest_ftgate.plugin.state import session_key
from pytest_ftgate.plugin.suites import contributions_for, load_suite_once
from pytest_ftgate.readers.text import replace_in_json
from pytest_ftgate.readers.yaml import Document
from pytest_ftgate.runner.suite import (
    check_accepted_limits,
    check_feasibility,
    prepare_suite,
    with_limits,
)
from pytest_ftgate.suite.function_references import imported_files
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.gates import drop_limit, unlimited_error
from pytest_ftgate.suite.loader import resolve_suite
from pytest_ftgate.suite.model import Case, ReplyRules, Suite, Variant
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.weights import file_sha256


def suite_of_file(location: MarkLocation, mark: Mark) -> Suite | None:
    """Return the suite in the file that *mark* names; add an error if there is no such file.

    Raises:
        SuiteError: the suite cannot be used.
    """
    file = os.fspath(mark.suite or "")
    for key in ("cases", "prompt"):
        if getattr(mark, key) is not None:
            location.add_error(key, f"{key}: {file} names its own; remove {key}=, or the file")
    if not (mark.variants is None or isinstance(mark.variants, str | list | tuple)):
        message = f'variants: {file} declares them; name those to judge: variants=["current"]'
        location.add_error("variants", message)
    elif mark.variants is not None and not mark.variants:
        location.add_error(
            "variants", "variants: the list is empty; name a variant, or leave it out"
        )
    path = location.find_file(file)
    if not path.is_file():
        folder = location.source.display_path(location.folder)
        looked = "" if folder == "." else f"{folder}/ and the folders above it, up to "
        location.add_error(
            SUITE, f"{file} does not exist (looked in {looked}{location.source.root})"
        )
        return None
    return load_suite_once(location.session, path.resolve())


def suite_in_mark(location: MarkLocation, mark: Mark) -> Suite | None:
    """Return the suite that *mark* declares; add an error for each argument that is missing.

    Raises:
        SuiteError: the suite cannot be used.
    """
    for key, example in (("cases", '"refunds.cases.jsonl"'), ("variants", '{"current": {...}}')):
        if getattr(mark, key) is None:
            message = f"the mark names no suite file, so it needs {key}, such as {key}={example}"
            location.add_error(key, message)
    if mark.cases is None or mark.variants is None:
        return None
    is_glob = isinstance(mark.cases, str | os.PathLike)
    value = {
        "cases": _relative_to_test(location, mark.cases) if is_glob else _as_yaml(mark.cases),
        "variants": _as_yaml(mark.variants),
        "reply": {"score": Rule("marked")},
        "gates": {"accuracy": {}},
    }
    value |= {"prompt": _relative_to_test(location, mark.prompt)} if mark.prompt is not None else {}
    document = Document(
        *(location.source.display_path(location.source.path), replace_in_json(value)),
        *(location.lines, {}),
    )
    plugins = contributions_for(location.session, location.source.path)
    run = location.session.config.stash[session_key]
    source = replace(location.source, plugins=plugins, document=document)
    if run.settings.overrides:
        from pytest_ftgate.suite.overrides import with_overrides

        source = with_overrides(source, run.settings.overrides)
    suite = resolve_suite(source)
    # The function is part of the name: each function of a module has a suite of its own.
    return prepare_suite(run, replace(suite, name=f"{suite.name}::{location.name}"))


def _as_yaml(value: Any) -> Any:
    """Return *value* as YAML would have it: mappings and lists of plain values."""
    if isinstance(value, Mapping):
        return {key: _as_yaml(member) for key, member in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return [_as_yaml(member) for member in value] if isinstance(value, list | tuple) else value


def _relative_to_test(location: MarkLocation, written: str | os.PathLike[str]) -> str:
    """Return the path or glob *written*, relative to the folder of the test file."""
    pattern = os.fspath(written)
    if Path(pattern).is_absolute():
        return pattern
    found = (folder for folder in location.search_folders if any(folder.glob(pattern)))
    return os.path.relpath(next(found, location.folder) / pattern, location.folder)


def marked_function(
    location: MarkLocation, mark: Mark, suite: Suite, *, planned: bool
) -> MarkedFunction | None:
    """Return the function with the cases, variants and limits that its marks choose, or None.

    The variants answer the cases of *suite*. *planned* is True if replies are requested before the
    function runs. None: tags or variants are unknown, or an argument cannot be used.

    Raises:
        SuiteError: no outcome could pass the gate.
    """
    if mark.repeats:
        suite = replace(suite, repeats=mark.repeats, written_repeats=mark.repeats)
    cases = _cases_with_tags(location, mark, suite)
    variants = _named_variants(location, mark, suite)
    function_suite = _function_suite(location, suite, _gates(location, mark), cases, variants)
    errors = location.source.errors
    if cases and not errors:
        session = location.session.config.stash[session_key]
        limits = session.records.limits(function_suite)
        function_suite = with_limits(function_suite, limits)
        check_accepted_limits(session, function_suite)
        check_feasibility(function_suite)
    if errors:
        return None
    # The function decides as well.
    location.session.config.stash[session_key].suites.append(function_suite)
    return MarkedFunction(
        suite=suite,
        function_suite=function_suite,
        metrics=tuple(mark.metrics or ()),
        variants=tuple(variants.values()),
        look=_look(suite, cases),
        planned=planned,
    )


def _gates(location: MarkLocation, mark: Mark) -> dict[str, RateGate]:
    """Return the gate by its kind, or the gate of each metric by its name."""
    if mark.metrics is None:
        gate = _gate(location, mark, "")
        return {gate.kind: gate}
    for key in ("max_drop", "min"):
        if getattr(mark, key) is not None:
            location.add_error(key, f"{key}: each of the metrics has its own; write it there")
    if not mark.metrics:
        example = 'metrics={"tone": {"min": 0.9}}'
        location.add_error("metrics", f"metrics: the mapping is empty; write, such as, {example}")
    return {name: _gate(location, limits, name) for name, limits in mark.metrics.items()}


def _gate(location: MarkLocation, limits: Mark | Metric, metric: str) -> RateGate:
    gate = RateGate(
        kind="accuracy",
        line=location.line(*(("metrics", metric) if metric else ())),
        min=limits.min,
        **drop_limit(limits.max_drop),
        evidence=limits.evidence,
        function=f"{location.name}[{metric}]" if metric else location.name,
    )
    if unlimited := unlimited_error(gate):
        location.source.add_error(gate.line, unlimited)
    return gate


def _function_suite(
    location: MarkLocation,
    suite: Suite,
    gates: Mapping[str, RateGate],
    cases: Sequence[Case],
    gated: Mapping[str, Variant],
) -> Suite:
    """Return the suite that the gate sees: the chosen cases, scored by the function."""
    score = Rule("marked", _source_digest(location.function))
    return replace(
        suite,
        path=location.source.path,
        name=location.source.display_path(location.source.path),
        cases=tuple(replace(case, score=score, format=(), must_pass=False) for case in cases),
        reply=ReplyRules(score=score),
        variants={
            name: replace(variant, gated=name in gated) for name, variant in suite.variants.items()
        },
        gates=gates,
        judges=(),
    )


def _look(suite: Suite, cases: Sequence[Case]) -> Look:
    subset = frozenset(case.id for case in cases) if len(cases) < len(suite.cases) else None
    return Look(cases=subset, repeats=suite.repeats or 1)


def _source_digest(function: FunctionType) -> str:
    """Return a digest of the code that scores: after a change, accepted results are stale.

    It is that of the function's module without its other tests, and of the modules of the project
    that this one imports. Comments and layout do not count.
    """
    file = Path(function.__code__.co_filename)
    try:
        tree = ast.parse(file.read_bytes())
        root = file.parents[function.__module__.count(".")]
        imported = imported_files(file, function.__module__, root)
    except (OSError, SyntaxError, ValueError, IndexError):
        return sha256(function.__code__.co_code).hexdigest()[:16]
    tree.body = [node for node in tree.body if not _is_other_test(node, function)]
    parts = [ast.dump(tree), *(file_sha256(one) for one in imported if one != file)]
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _is_other_test(node: ast.stmt, function: FunctionType) -> bool:
    """Return True if *node* is a test function, and not *function* nor what holds it."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return node.name.startswith("test") and node.name != function.__qualname__.partition(".")[0]


def _cases_with_tags(location: MarkLocation, mark: Mark, suite: Suite) -> tuple[Case, ...]:
    wanted = (mark.tags,) if isinstance(mark.tags, str) else mark.tags
    known = {tag for case in suite.cases for tag in case.tags}
    for tag in wanted:
        if tag not in known:
            listed = f"; known: {', '.join(sorted(known))}" if known else "; no case has tags"
            hint = did_you_mean(tag, known) or listed
            location.add_error("tags", f'tags: no case has the tag "{tag}"{hint}')
    return tuple(c for c in suite.cases if not wanted or not set(wanted).isdisjoint(c.tags))


def _named_variants(location: MarkLocation, mark: Mark, suite: Suite) -> dict[str, Variant]:
    if mark.suite is None or not isinstance(mark.variants, str | list | tuple):
        return {name: variant for name, variant in suite.variants.items() if variant.gated}
    names = [mark.variants] if isinstance(mark.variants, str) else [*mark.variants]
    for name in names:
        if name not in suite.variants:
            near = did_you_mean(str(name), suite.variants)
            hint = near or f"; known: {', '.join(suite.variants)}"
            location.add_error("variants", f'variants: unknown variant "{name}"{hint}')
    return {name: suite.variants[name] for name in names if name in suite.variants}
