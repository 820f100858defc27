"""Rows become cases: validated, named, grouped, with an `expected` that their score can read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any

from jinja2 import TemplateError
from pydantic import ValidationError

from pytest_ftgate import skills
from pytest_ftgate.errors import Fault, SuiteFaults, did_you_mean
from pytest_ftgate.readers.source import folded, keys_of, sentence
from pytest_ftgate.readers.table import Row, rows
from pytest_ftgate.suite.declaration import DeclaredCase
from pytest_ftgate.suite.formats import read_format
from pytest_ftgate.suite.model import Case, ReplyRules, digest
from pytest_ftgate.suite.plugins import SuiteSource
from pytest_ftgate.suite.rule import Rule, function_fault
from pytest_ftgate.suite.scorers import number, pattern_fault, python_fault, read_score
from pytest_ftgate.suite.templates import PASSAGES, render

__all__ = [
    "as_asked",
    "leaves",
    "score_fault",
    "skill_cases",
    "stranger",
    "to_cases",
    "unfit",
    "unmet",
]

_CALL = '{name: lookup_order, arguments: {order_id: "17"}}'


def unfit(expected: Any, score: Rule, form: tuple[Rule, ...]) -> str | None:
    """Say why *expected* does not fit *score* or the labels of *form*, or return None."""
    if expected is None:
        return None
    answers = expected if isinstance(expected, list) else [expected]
    told = (_unread(answers, part, form) for part in score.parts)
    return next((one for one in told if one), None)


def _unread(answers: list[Any], score: Rule, form: tuple[Rule, ...]) -> str | None:
    # A function reads what it likes, and a judge what there is.
    if score.kind in ("python", "marked", "offered", "judge", "set", "sequence"):
        return None
    none = score.options.get("none")
    if not answers and not (score.kind == "labels" and none):
        return "expected is an empty list; name an answer, or leave the key out"
    if score.kind in _READERS:
        return _READERS[score.kind](answers, score)
    return _no_text(answers, score) or (
        stranger([a for a in answers if a != none], form) if score.kind == "choice" else None
    )


def _no_text(answers: list[Any], score: Rule) -> str | None:
    for one in answers:
        if isinstance(one, Mapping):
            return _no_mapping(score)
        if not isinstance(one, str):
            told = json.dumps(one, ensure_ascii=False, default=str)
            what = "" if isinstance(one, bool | list) else "the number "
            return f'expected is {what}{told}, but {score.kind} reads text: write "{told}"'
    return None


def _no_mapping(score: Rule) -> str:
    return f"expected is a mapping, which only score: tool_call and fields read, not {score.kind}"


def _no_number(answers: list[Any], score: Rule) -> str | None:
    for one in answers:
        if isinstance(one, Mapping):
            return _no_mapping(score)
        if number(one, score.options) is None:
            return f'expected "{one}" is not a number, but score is numeric'
    return None


def _no_pattern(answers: list[Any], score: Rule) -> str | None:
    broken = (fault for fault in map(pattern_fault, filter(_is_text, answers)) if fault)
    return _no_text(answers, score) or next((f"expected: {fault}" for fault in broken), None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _no_code(answers: list[Any], score: Rule) -> str | None:
    if len(answers) > 1:
        return "expected is a list, but score: code runs one text of tests; write it as one"
    told = _no_text(answers, score)
    wrong = None if told else python_fault(answers[0])
    return f"expected is no tests in Python: {wrong}" if wrong else told


def _no_call(answers: list[Any], score: Rule) -> str | None:
    for one in answers:
        if isinstance(one, Mapping) and not _is_call(one):
            return f"expected as a mapping is the call of a tool, such as {_CALL}"
    return _no_text([one for one in answers if not isinstance(one, Mapping)], score)


def _is_call(expected: Mapping[str, Any]) -> bool:
    named = isinstance(expected.get("name"), str) and set(expected) <= {"name", "arguments"}
    return named and isinstance(expected.get("arguments", {}), Mapping)


def _no_fields(answers: list[Any], score: Rule) -> str | None:
    for one in answers:
        if not isinstance(one, Mapping) or not one:
            return "expected is no mapping of fields, but score is fields: write {total: 12}"
        for keys, value in leaves(one, score.options):
            path = ".".join(keys)
            rule = score.options.get(path)
            wrong = unfit(value, rule, ()) if rule else None
            if wrong:
                return f"{path}: {wrong}"
    return None


_READERS: Mapping[str, Callable[[list[Any], Rule], str | None]] = {
    "numeric": _no_number,
    "regex": _no_pattern,
    "code": _no_code,
    "tool_call": _no_call,
    "fields": _no_fields,
}


def leaves(
    expected: Mapping[str, Any], whole: Collection[str], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the keys that lead to each field of *expected* that is compared, and its value.

    Args:
        expected: what a case expects.
        whole: paths, such as ``a.b``, that are not gone into though a mapping stands there.
        above: the keys that lead to *expected* itself.
    """
    for key, value in expected.items():
        keys = (*above, str(key))
        if isinstance(value, Mapping) and value and ".".join(keys) not in whole:
            yield from leaves(value, whole, keys)
        else:
            yield keys, value


def stranger(answers: Iterable[str], form: tuple[Rule, ...]) -> str | None:
    """Say which of *answers* is none of the labels of the format; None where all are."""
    labels = _labels(form)
    strangers = [a for a in answers if labels and a not in labels]
    if not strangers:
        return None
    near = did_you_mean(strangers[0], labels) or f"; labels: {', '.join(labels)}"
    return f'expected "{strangers[0]}" is not one of the labels of format: choice{near}'


def _labels(form: tuple[Rule, ...]) -> list[str]:
    return [label for rule in form if rule.kind == "choice" for label in rule.value]


def score_fault(score: Rule, form: tuple[Rule, ...]) -> str | None:
    """Say which synonyms of *score* are of no label of *form*, or are another label; else None."""
    labels = _labels(form)
    for rule in score.parts:
        if rule.kind != "choice" or not labels:
            continue
        known = [*labels, *filter(None, [rule.options.get("none")])]
        for label, words in rule.options.get("synonyms", {}).items():
            if label not in known:
                near = did_you_mean(label, known) or f"; labels: {', '.join(known)}"
                return f'synonyms of "{label}", which is not one of the labels{near}'
            taken = next((word for word in words if word in known and word != label), None)
            if taken:
                return f'synonym "{taken}" of {label} is a label itself; take it out'
    return None


def unmet(score: Rule, cases: Sequence[Case]) -> str | None:
    """Say which field that *score* names no case of *cases* expects, or return None."""
    for rule in score.parts:
        marked = [case.expected for case in cases if rule in case.score.parts]
        answers = [a for one in marked for a in (one if isinstance(one, list) else [one])]
        told = [answer for answer in answers if isinstance(answer, Mapping)]
        if rule.kind != "fields" or not told:
            continue
        met = {".".join(keys) for answer in told for keys, _ in leaves(answer, rule.options)}
        strange = next((path for path in rule.options if path not in met), None)
        if strange:
            return f'fields: no case expects "{strange}"{did_you_mean(strange, met)}'
    return None


def to_cases(source: SuiteSource, found: Iterable[Row], reply: ReplyRules) -> tuple[Case, ...]:
    """Validate rows and give each case its id, its scorer and its form."""
    cases: dict[str, Case] = {}
    before = len(source.faults)
    for row in found:
        case = _case(source, row, reply)
        if case is None:
            continue
        if case.id in cases:
            message = f'id "{case.id}" is taken by {cases[case.id].where}; ids must be unique'
            source.say(row.line, message, row.path)
            continue
        cases[case.id] = case
    source.faults[before:] = folded(source.faults[before:])
    return _together(cases.values())


def _together(cases: Collection[Case]) -> tuple[Case, ...]:
    """Put cases that ask the same into one group: counted apart, they would pass for more."""
    asked = [digest([case.input, case.messages, dict(case.vars)]) for case in cases]
    times = Counter(asked)
    first = {same: case.id for same, case in zip(reversed(asked), reversed([*cases]), strict=True)}
    groups = [f"same as {first[same]}" if times[same] > 1 else None for same in asked]
    pairs = zip(cases, groups, strict=True)
    return tuple(
        replace(case, group=group) if group and not case.group else case for case, group in pairs
    )


def _case(source: SuiteSource, row: Row, reply: ReplyRules) -> Case | None:
    try:
        declared = DeclaredCase.model_validate(source.plugins.named(row.value))
    except ValidationError as error:
        for one in error.errors():
            known = keys_of(DeclaredCase)
            text = sentence(dict(one), known, row.written.get(tuple(one["loc"])))
            source.say(row.line, f"in a case: {text}", row.path)
        return None
    problem = _problem(declared, reply) or _absent(declared, source.path.parent)
    if problem:
        source.say(row.line, problem, row.path)
        return None
    # A file that a case names lies beside the file of the case.
    beside = replace(source, path=row.path)
    form = tuple(read_format(beside, rule, lambda *_: row.line) for rule in declared.format or ())
    score = read_score(beside, declared.score, row.line) if declared.score else reply.score
    where = f"{source.name(row.path)}:{row.line}"
    return _made(declared, where, score, form or reply.format)


def _problem(case: DeclaredCase, reply: ReplyRules) -> str | None:
    score: Rule = case.score or reply.score
    if case.score and any(part.kind == "judge" for part in case.score.parts):
        told = "what differs from case to case goes into vars, which the rubric may name"
        return f"score: a judge belongs to reply.score; {told}"
    problem = _never_wrong(case, score, formed=bool(case.format or reply.format))
    if problem:
        return problem
    if not case.input and not case.messages:
        return 'a case needs "input" or "messages"'
    if case.input and case.messages:
        return 'a case has "input" or "messages", not both; put the input into the messages'
    form = case.format or reply.format
    own = score_fault(case.score, form) if case.score else None
    return own or unfit(case.expected, score, form)


def _never_wrong(case: DeclaredCase, score: Rule, *, formed: bool) -> str | None:
    """Say why a case cannot be one that must pass or be kept."""
    if case.must_pass and case.holdout:
        return "must_pass asks a case of every variant, holdout of the chosen one alone; keep one"
    if case.expected is not None or score.unaided:
        return None
    if case.must_pass:
        return "must_pass needs expected: without it no reply is wrong"
    if case.must_keep and not formed:
        return "must_keep needs expected or a format: without it no reply is wrong"
    return None


def _absent(case: DeclaredCase, folder: Path) -> str | None:
    own = [("score", case.score)] if case.score else []
    for key, rule in (*own, *(("format", rule) for rule in case.format or ())):
        fault = function_fault(rule, folder)
        if fault:
            return f"{key}: {fault}"
    return None


def _made(case: DeclaredCase, where: str, score: Rule, form: tuple[Rule, ...]) -> Case:
    messages = tuple((m.role, m.content) for m in case.messages)
    return Case(
        # Named in files of replies as well; one object for all saves a third of them.
        id=intern(case.id or digest([case.input, messages, case.vars])[:8]),
        where=where,
        input=case.input,
        messages=messages,
        vars=case.vars,
        expected=case.expected,
        tags=case.tags,
        group=case.group,
        score=score,
        format=form,
        max_tokens=case.max_tokens,
        skill=case.skill,
        difficulty=case.difficulty,
        language=case.language,
        weight=case.weight,
        must_pass=case.must_pass,
        must_keep=case.must_keep,
        holdout=case.holdout,
    )


def as_asked(
    source: SuiteSource, cases: Iterable[Case], system: str | None, user: str, tokens: int
) -> tuple[Case, ...]:
    """Return *cases* with the messages by which their own suite puts them to a model.

    Args:
        source: the suite, for what cannot be rendered.
        cases: its cases.
        system: its prompt's template, or None.
        user: its template of the user message.
        tokens: the longest reply, where a case does not say.
    """
    made = []
    for case in cases:
        values = {"input": case.input, "id": case.id, "tags": case.tags, PASSAGES: "", **case.vars}
        try:
            head = render(system.removesuffix("\n"), values) if system else ""
            asked = case.messages or (("user", render(user, values)),)
        except TemplateError as error:
            path, _, line = case.where.rpartition(":")
            source.faults.append(Fault(path, int(line), f"the prompt fails for this case: {error}"))
            continue
        turns = ((("system", head),) if head else ()) + asked
        limit = case.max_tokens or tokens
        made.append(replace(case, input="", messages=turns, max_tokens=limit))
    return tuple(made)


@lru_cache(maxsize=8)
def skill_cases(
    names: tuple[str, ...], more: tuple[tuple[str, Path], ...] = ()
) -> tuple[Case, ...]:
    """Return the cases of the skills *names*, each a set or a skill.

    Args:
        names: as a suite has them.
        more: skills that do not come with the package: the name and the file of each.

    Raises:
        KeyError: a name is neither.
        SuiteFaults: a file of *more* cannot be used; a test loads all of the bundled ones.
    """
    own = {path: name for name, path in more}
    paths = skills.files(names, dict(more))
    source = SuiteSource(root=paths[0].parent, path=paths[0])
    reply = ReplyRules(score=Rule("contains"), max_tokens=32)
    found = (row for path in paths for row in rows(source, path))
    cases = to_cases(source, (_of_skill(row, own.get(row.path)) for row in found), reply)
    if source.faults:
        raise SuiteFaults("skills", source.faults)
    return tuple(case for case in cases if _chosen(case, names))


def _chosen(case: Case, names: tuple[str, ...]) -> bool:
    """Tell whether *case* is of a skill that is named, or of a set that is."""
    sets = (skills.SETS[name] for name in names if name in skills.SETS)
    return case.skill in names or any(not tag or tag in case.tags for tag in sets)


def _of_skill(row: Row, skill: str | None) -> Row:
    """Return *row* with the name of its skill, where a plugin offers the file under one."""
    if skill is None or not isinstance(row.value, Mapping):
        return row
    return row._replace(value={"skill": skill, **row.value})
