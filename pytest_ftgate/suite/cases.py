"""From the rows of a file or a suite to cases: validated, named, and put into groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from sys import intern

from jinja2 import TemplateError
from pydantic import ValidationError

from pytest_ftgate import skills
from pytest_ftgate.errors import Fault, SuiteFaults
from pytest_ftgate.suite.declared import DeclaredCase
from pytest_ftgate.suite.expected import score_fault, unfit
from pytest_ftgate.suite.faults import folded, keys_of, sentence
from pytest_ftgate.suite.json_schema import read_format
from pytest_ftgate.suite.model import Case, ReplyRules, digest
from pytest_ftgate.suite.prompt import PASSAGES, render
from pytest_ftgate.suite.rows import Row, rows
from pytest_ftgate.suite.rules import Rule, function_fault
from pytest_ftgate.suite.scores import read_score
from pytest_ftgate.suite.source import Source

__all__ = ["as_asked", "skill_cases", "to_cases"]


def to_cases(source: Source, found: Iterable[Row], reply: ReplyRules) -> tuple[Case, ...]:
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


def _case(source: Source, row: Row, reply: ReplyRules) -> Case | None:
    try:
        declared = DeclaredCase.model_validate(source.offers.named(row.value))
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
    source: Source, cases: Iterable[Case], system: str | None, user: str, tokens: int
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
    source = Source(root=paths[0].parent, path=paths[0])
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
