"""Scores that join others: the mean of a list, and ``all``, which needs every one of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo

from pytest_ftgate.readers.source import Source, rule_error
from pytest_ftgate.suite.formats import FORMAT_KINDS, parse_format, resolve_format
from pytest_ftgate.suite.rule import COMBINED_KINDS, JAVASCRIPT, Rule
from pytest_ftgate.suite.scorers import offered_rule, parse_rule, python_syntax_error, split_score

_USAGE = "all needs a list of formats and scores, such as {all: [exact, {avoids: [sorry]}]}"


def parse_score(raw: Any, info: ValidationInfo) -> Rule | None:
    """Return the rule of a declared score: one, several as a list, or ``all`` of several.

    Raises:
        PydanticCustomError: *raw* is no score. The message holds the remedy.
    """
    if raw is None or isinstance(raw, Rule):
        return raw
    if not isinstance(raw, list):
        return _parse_single(raw, info)
    if not raw:
        raise rule_error("score is an empty list; name a score")
    parts = map(_split_weight, raw)
    return Rule("mean", tuple((_parse_single(part, info), weight) for part, weight in parts))


def _parse_single(raw: Any, info: ValidationInfo) -> Rule:
    if raw == "all" or (isinstance(raw, Mapping) and [*raw] == ["all"]):
        return _parse_all(raw["all"] if isinstance(raw, Mapping) else None, info)
    functions = info.context.scorers if info.context else {}
    return offered_rule(raw, functions) or parse_rule(*split_score(raw))


def _split_weight(raw: Any) -> tuple[Any, float]:
    """Return one part of several, and its weight."""
    weight = raw.get("weight", 1) if isinstance(raw, Mapping) else 1
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
        raise rule_error(f"weight must be a number above 0, not {weight}")
    part = {k: v for k, v in raw.items() if k != "weight"} if isinstance(raw, Mapping) else raw
    return part, float(weight)


def _parse_all(value: Any, info: ValidationInfo) -> Rule:
    """Return the rule ``all`` of a list, or of ``{rules: LIST, min: SHARE}``."""
    keys = value if isinstance(value, Mapping) else {"rules": value}
    rules, least = keys.get("rules"), keys.get("min", 1)
    if not isinstance(rules, list) or not rules or keys.keys() - {"rules", "min"}:
        raise rule_error(_USAGE)
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 < least <= 1:
        raise rule_error(f"all: min must be above 0 and at most 1, not {least}")
    parts = map(_split_weight, rules)
    is_mean = "min" in keys
    parsed = tuple((_parse_part(part, info, is_mean=is_mean), weight) for part, weight in parts)
    return Rule("all", parsed, {"min": least} if is_mean else {})


def _parse_part(raw: Any, info: ValidationInfo, *, is_mean: bool) -> Rule:
    """Return a part of ``all``: a format if its name is one's, else a score."""
    name = next(iter(raw), None) if isinstance(raw, Mapping) else raw
    # The judge of the suite: cases cannot declare one.
    if raw in ("judge", {"judge": {}}):
        return Rule("judge")
    if is_mean and name == JAVASCRIPT:
        # The mean takes the number that it returns.
        return _parse_single(raw, info)
    formats = info.context.formats if info.context else {}
    if isinstance(name, str) and (name in FORMAT_KINDS or name in formats):
        return Rule("holds", parse_format(raw, info))
    return _parse_single(raw, info)


DeclaredScore = Annotated[Any, BeforeValidator(parse_score)]


def resolve_score(source: Source, rule: Rule, line: int) -> Rule:
    """Return *rule* with the content of the files that it names. Errors go to *source*."""
    if rule.kind in COMBINED_KINDS:
        return rule.with_parts(lambda part: resolve_score(source, part, line))
    if rule.kind == "holds":
        return Rule(rule.kind, resolve_format(source, rule.value, lambda *_: line))
    if rule.kind == JAVASCRIPT:
        from pytest_ftgate.suite.javascript import resolve_javascript

        return resolve_javascript(source, rule, line)
    if rule.kind != "code" or "tests" not in rule.options:
        return rule
    written_path = rule.options["tests"]
    path = source.find_file(written_path, line, "code: tests")
    code = source.read_text(path, line, "code: tests") if path else None
    if message := python_syntax_error(code or ""):
        source.add_error(line, f"code: tests: {written_path} is not Python: {message}")
    return Rule(rule.kind, code or "", rule.options)


def with_judge(rule: Rule, judged: Rule) -> Rule | None:
    """Return *rule* with the judge of *judged* where it names a judge; None if there is none."""
    if rule.kind in COMBINED_KINDS:
        found = [with_judge(part, judged) for part, _ in rule.value]
        parts = iter(found)
        return None if None in found else rule.with_parts(lambda _: next(parts))
    if rule.kind != "judge" or rule.options:
        return rule
    return next((part for part in judged.parts if part.kind == "judge"), None)
