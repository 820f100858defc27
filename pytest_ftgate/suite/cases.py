"""Cases from rows: validated, with ids and groups, and an `expected` that fits their score."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any

from pytest_ftgate import skills
from pytest_ftgate.errors import SuiteError, did_you_mean
from pytest_ftgate.readers.source import declared_keys, fold_similar
from pytest_ftgate.readers.table import Row, read_rows, validate_row
from pytest_ftgate.readers.text import json_or_text
from pytest_ftgate.suite.declaration import DeclaredCase
from pytest_ftgate.suite.draft import SuiteSource
from pytest_ftgate.suite.formats import resolve_format
from pytest_ftgate.suite.model import Case, ReplyRules, digest, input_digest
from pytest_ftgate.suite.rule import JAVASCRIPT, Rule, choice_labels, function_error
from pytest_ftgate.suite.score_rules import resolve_score, with_judge
from pytest_ftgate.suite.scorers import parse_number, pattern_error, python_syntax_error
from pytest_ftgate.suite.templates import PASSAGES, TemplateError, render_template

_TOOL_CALL = '{name: lookup_order, arguments: {order_id: "17"}}'


#: The kinds of scores that accept every ``expected``.
_ANY_ANSWER = (
    *("python", JAVASCRIPT, "marked", "offered", "judge", "recorded", "holds"),
    *("set", "sequence"),
)


def expected_error(expected: Any, score: Rule, formats: tuple[Rule, ...]) -> str | None:
    """Return why *expected* does not fit *score* or the labels of *formats*, or None."""
    if expected is None:
        return None
    answers = expected if isinstance(expected, list) else [expected]
    errors = (_part_error(answers, part, formats) for part in score.parts)
    return next((error for error in errors if error), None)


def _part_error(answers: list[Any], score: Rule, formats: tuple[Rule, ...]) -> str | None:
    # Functions, judges and recorded scores accept every value.
    if score.kind in _ANY_ANSWER:
        return None
    none = score.options.get("none")
    if not answers and not (score.kind == "labels" and none):
        return "expected is an empty list; name an answer, or leave the key out"
    if score.kind in _ANSWER_CHECKS:
        return _ANSWER_CHECKS[score.kind](answers, score)
    error = _text_error(answers, score)
    if error or score.kind != "choice":
        return error
    return unknown_label_error([answer for answer in answers if answer != none], formats)


def _text_error(answers: list[Any], score: Rule) -> str | None:
    for answer in answers:
        if isinstance(answer, Mapping):
            return _mapping_error(score)
        if not isinstance(answer, str):
            text = json.dumps(answer, ensure_ascii=False, default=str)
            what = "" if isinstance(answer, bool | list) else "the number "
            return f'expected is {what}{text}, but {score.kind} reads text: write "{text}"'
    return None


def _mapping_error(score: Rule) -> str:
    return f"expected is a mapping, which only score: tool_call and fields read, not {score.kind}"


def _number_error(answers: list[Any], score: Rule) -> str | None:
    for answer in answers:
        if isinstance(answer, Mapping):
            return _mapping_error(score)
        if parse_number(answer, score.options) is None:
            return f'expected "{answer}" is not a number, but score is numeric'
    return None


def _regex_error(answers: list[Any], score: Rule) -> str | None:
    errors = filter(None, map(pattern_error, answers))
    return _found_text_error(answers, score) or next((f"expected: {e}" for e in errors), None)


def _found_text_error(answers: list[Any], score: Rule) -> str | None:
    """Return why texts that are searched in replies cannot be: an empty one is in every reply."""
    error = _text_error(answers, score)
    if error or all(answer.strip() for answer in answers):
        return error
    return f"expected is empty, and score: {score.kind} finds that in every reply; name a text"


def _code_error(answers: list[Any], score: Rule) -> str | None:
    if len(answers) > 1:
        return "expected is a list, but score: code runs one text of tests; write it as one"
    error = _text_error(answers, score)
    if not error and not answers[0].strip() and "tests" not in score.options:
        return "expected is empty, so score: code runs no test; write one, such as assert f(2) == 4"
    syntax_error = None if error else python_syntax_error(answers[0])
    return f"expected is no tests in Python: {syntax_error}" if syntax_error else error


def _tool_call_error(answers: list[Any], score: Rule) -> str | None:
    for answer in answers:
        if isinstance(answer, Mapping) and not _is_tool_call(answer):
            return f"expected is a mapping, which must be the call of a tool, such as {_TOOL_CALL}"
    return _text_error([answer for answer in answers if not isinstance(answer, Mapping)], score)


def _is_tool_call(expected: Mapping[str, Any]) -> bool:
    has_name = isinstance(expected.get("name"), str) and set(expected) <= {"name", "arguments"}
    return has_name and isinstance(expected.get("arguments", {}), Mapping)


def _fields_error(answers: list[Any], score: Rule) -> str | None:
    for answer in answers:
        if isinstance(answer, str) and answer.lstrip().startswith("{"):
            return "expected is text that is no JSON, but score is fields; check its quotes"
        if not isinstance(answer, Mapping) or not answer:
            return "expected is no mapping of fields, but score is fields: write {total: 12}"
        for keys, value in leaf_fields(answer, score.options):
            path = ".".join(keys)
            rule = score.options.get(path)
            error = expected_error(value, rule, ()) if rule else None
            if error:
                return f"{path}: {error}"
    return None


_ANSWER_CHECKS: Mapping[str, Callable[[list[Any], Rule], str | None]] = {
    "numeric": _number_error,
    "contains": _found_text_error,
    "regex": _regex_error,
    "code": _code_error,
    "tool_call": _tool_call_error,
    "fields": _fields_error,
}


def leaf_fields(
    expected: Mapping[str, Any], whole: Collection[str], parents: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the keys and the value of each compared field of *expected*.

    *whole* has paths, such as ``a.b``, whose mapping is compared as one value. *parents* are the
    keys that lead to *expected* itself.
    """
    for key, value in expected.items():
        keys = (*parents, str(key))
        # Most values are strings, and the check for a string is much the faster one.
        nested = not isinstance(value, str) and isinstance(value, Mapping)
        if nested and value and ".".join(keys) not in whole:
            yield from leaf_fields(value, whole, keys)
        else:
            yield keys, value


def unknown_label_error(answers: Iterable[str], formats: tuple[Rule, ...]) -> str | None:
    """Return a message about the first of *answers* that is no label of *formats*, or None."""
    labels = choice_labels(formats)
    unknown = [answer for answer in answers if labels and answer not in labels]
    if not unknown:
        return None
    near = did_you_mean(unknown[0], labels) or f"; labels: {', '.join(labels)}"
    return f'expected "{unknown[0]}" is not one of the labels of format: choice{near}'


def synonym_error(score: Rule, formats: tuple[Rule, ...]) -> str | None:
    """Return a message about synonyms of no label, or about a synonym that is a label, or None."""
    labels = choice_labels(formats)
    for rule in score.parts:
        if rule.kind != "choice" or not labels:
            continue
        known = [*labels, *filter(None, [rule.options.get("none")])]
        for label, words in rule.options.get("synonyms", {}).items():
            if label not in known:
                near = did_you_mean(label, known) or f"; labels: {', '.join(known)}"
                return f'synonyms of "{label}", which is not one of the labels{near}'
            clash = next((word for word in words if word in known and word != label), None)
            if clash:
                return f'synonym "{clash}" of {label} is a label itself; take it out'
    return None


def unused_field_error(score: Rule, cases: Sequence[Case]) -> str | None:
    """Return a message about the first field of *score* that no case expects, or None."""
    for rule in score.parts:
        scored = [case for case in cases if rule in case.score.parts]
        mappings = [a for case in scored for a in case.answers if isinstance(a, Mapping)]
        if rule.kind != "fields" or not mappings:
            continue
        fields = [leaf_fields(mapping, rule.options) for mapping in mappings]
        paths = {".".join(keys) for leaves in fields for keys, _ in leaves}
        unused = next((path for path in rule.options if path not in paths), None)
        if unused:
            return f'fields: no case expects "{unused}"{did_you_mean(unused, paths)}'
    return None


def to_cases(source: SuiteSource, rows: Iterable[Row], reply: ReplyRules) -> tuple[Case, ...]:
    """Return the cases of *rows*, with id, score and format; errors go to *source*."""
    cases: dict[str, Case] = {}
    error_count = len(source.errors)
    foreign: set[Path] = set()
    for row in rows:
        source.tally.cases += 1
        if problem := source.limits.problem_of_cases(source.tally.cases):
            source.add_error(row.line, problem, row.path)
            break
        if problem := _foreign_columns(row.value):
            if row.path not in foreign:
                source.add_error(1 if row.path.suffix == ".csv" else row.line, problem, row.path)
            foreign.add(row.path)
            continue
        case = _parse_case(source, row, reply)
        if case and case.id in cases:
            message = f'id "{case.id}" is taken by {cases[case.id].location}; ids must be unique'
            source.add_error(row.line, message, row.path)
        elif case:
            cases[case.id] = case
    source.errors[error_count:] = fold_similar(source.errors[error_count:])
    return _group_duplicates(cases.values())


#: The most groups of cases with the same input that a sentence names.
_MAX_NAMED_GROUPS = 3
_SAME_INPUT = "same as "


def equal_inputs(cases: Iterable[Case]) -> str:
    """Return which cases have the same input and count as one, in a sentence; "" for none."""
    groups: dict[str, list[str]] = {}
    for case in cases:
        if case.group and case.group.startswith(_SAME_INPUT):
            groups.setdefault(case.group, []).append(case.id)
    named = [f"{', '.join(ids[:-1])} and {ids[-1]}" for ids in groups.values() if len(ids) > 1]
    more = f"; {len(named) - _MAX_NAMED_GROUPS} more groups too" * (len(named) > _MAX_NAMED_GROUPS)
    have = " have the same input and count as one; ".join(named[:_MAX_NAMED_GROUPS])
    return f"{have} have the same input and count as one{more}" if named else ""


def _group_duplicates(cases: Collection[Case]) -> tuple[Case, ...]:
    """Return *cases* with identical inputs in one group, since they are not independent."""
    by_input = defaultdict[str, list[Case]](list)
    for case in cases:
        by_input[input_digest(case)].append(case)
    alike = [group for group in by_input.values() if len(group) > 1]
    groups = {case.id: f"{_SAME_INPUT}{group[0].id}" for group in alike for case in group}
    return tuple(
        replace(case, group=groups[case.id]) if case.id in groups and not case.group else case
        for case in cases
    )


def _foreign_columns(value: Any) -> str:
    """Return what to write about a row whose columns have the names of another tool, or ""."""
    known = declared_keys(DeclaredCase)
    if not isinstance(value, Mapping) or all(key in known for key in value):
        return ""
    from pytest_ftgate.readers.answer_rows import guess_columns

    columns = guess_columns([*value], ("id", "input", "expected"))
    renamed = {key: name for key, name in columns.items() if name not in known}
    if not {"input", "expected"} & renamed.keys():
        return ""
    written = ", ".join(f"{key}: {name}" for key, name in renamed.items())
    shown = ", ".join(map(str, value))
    return (
        f"the columns are {shown}; a case has input and expected: rename them, or write "
        f"columns: {{{written}}} in the suite"
    )


#: The kinds of score that compare mappings.
_MAPPING_KINDS = ("fields", "tool_call")


def _with_mapping(row: Row, reply: ReplyRules) -> Row:
    """Return *row* with JSON that is written as a text as a mapping if it is scored as one."""
    is_scored = any(part.kind in _MAPPING_KINDS for part in reply.score.parts)
    if not is_scored or not isinstance(row.value, Mapping):
        return row
    text = row.value.get("expected")
    # What `columns` read is a mapping already.
    if isinstance(text, str) and text.lstrip().startswith("{"):
        return row._replace(value={**row.value, "expected": json_or_text(text)})
    return row


def _parse_case(source: SuiteSource, row: Row, reply: ReplyRules) -> Case | None:
    row = _with_mapping(row, reply)
    declared = validate_row(source, row, DeclaredCase, "case", source.plugins)
    if declared is None:
        return None
    problems = [*_case_errors(declared, reply), *_rule_errors(declared, source.path.parent)]
    for problem in problems:
        source.add_error(row.line, problem, row.path)
    if problems:
        return None
    formats, score = reply.format, reply.score
    if declared.format or declared.score:
        # A path in a case is relative to the file of the case.
        row_source = replace(source, path=row.path)
        resolved = (resolve_format(row_source, r, lambda *_: row.line) for r in declared.format)
        formats = tuple(resolved) or formats
        own = declared.score and with_judge(declared.score, score)
        score = resolve_score(row_source, own, row.line) if own else score
    messages = tuple((message.role, message.content) for message in declared.messages)
    resolved_keys = {
        # Replies carry the id too; interning it saves a third of their memory.
        "id": intern(declared.id or digest([declared.input, messages, declared.vars])[:8]),
        "messages": messages,
        "vars": declared.vars or _NO_VARS,
        "score": score,
        "format": formats,
    }
    location = f"{source.display_path(row.path)}:{row.line}"
    return Case(location=location, **{**vars(declared), **resolved_keys})


def _case_errors(case: DeclaredCase, reply: ReplyRules) -> Iterator[str]:
    score: Rule = case.score or reply.score
    if case.score and with_judge(case.score, reply.score) is None:
        yield "score: judge is that of reply.score, and there is none; declare it there"
    elif case.score and any(part.kind == "judge" and part.options for part in case.score.parts):
        remedy = "what differs from case to case goes into vars, which the rubric may name"
        yield f"score: a judge belongs to reply.score; {remedy}"
    if not case.input and not case.messages:
        yield 'a case needs "input" or "messages"'
    elif case.input and case.messages:
        yield 'a case has "input" or "messages", not both; put the input into the messages'
    formats = case.format or reply.format
    found = (
        _must_error(case, score, has_format=bool(formats)),
        synonym_error(case.score, formats) if case.score else None,
        expected_error(case.expected, score, formats),
    )
    yield from filter(None, found)


def _must_error(case: DeclaredCase, score: Rule, *, has_format: bool) -> str | None:
    """Return why a case cannot have ``must_pass`` or ``must_keep``, or None."""
    if case.must_pass and case.holdout:
        return "must_pass sends a case to every variant, holdout to the chosen one only; keep one"
    if case.expected is not None or score.scores_without_expected:
        return None
    if case.must_pass:
        return "must_pass needs expected: without it no reply is wrong"
    if case.must_keep and not has_format:
        return "must_keep needs expected or a format: without it no reply is wrong"
    return None


def _rule_errors(case: DeclaredCase, folder: Path) -> Iterator[str]:
    """Yield why functions that the case names cannot be used."""
    rules = [("score", case.score)] if case.score else []
    for key, rule in (*rules, *(("format", rule) for rule in case.format)):
        if error := function_error(rule, folder):
            yield f"{key}: {error}"


#: Shared by all cases without vars, to save memory.
_NO_VARS: dict[str, Any] = {}


def render_cases(
    source: SuiteSource, cases: Iterable[Case], system: str | None, user: str, tokens: int
) -> tuple[Case, ...]:
    """Return *cases* with their messages rendered by the templates of their own suite.

    *system* and *user* are templates. *tokens* limits the replies to cases without their own limit.
    A case that cannot be rendered is left out, and its error goes to *source*.
    """
    rendered = []
    for case in cases:
        values = {PASSAGES: "", **case.template_values}
        try:
            system_text = render_template(system.removesuffix("\n"), values) if system else ""
            messages = case.messages or (("user", render_template(user, values)),)
        except TemplateError as error:
            source.errors.append(case.error(f"the prompt fails for this case: {error}"))
            continue
        turns = ((("system", system_text),) if system_text else ()) + messages
        max_tokens = case.max_tokens or tokens
        rendered.append(replace(case, input="", messages=turns, max_tokens=max_tokens))
    return tuple(rendered)


@lru_cache(maxsize=8)
def skill_cases(
    names: tuple[str, ...], plugin_skills: tuple[tuple[str, Path], ...] = ()
) -> tuple[Case, ...]:
    """Return the cases of the sets and skills in *names*.

    *plugin_skills* has the name and the file of each skill from a plugin.

    Raises:
        KeyError: a name is neither a set nor a skill.
        SuiteError: a file of *plugin_skills* cannot be used.
    """
    names_by_path = {path: name for name, path in plugin_skills}
    paths = skills.skill_files(names, dict(plugin_skills))
    source = SuiteSource(root=paths[0].parent, path=paths[0])
    rows = (row for path in paths for row in read_rows(source, path))
    named_rows = (_with_skill_name(row, names_by_path.get(row.path)) for row in rows)
    cases = _cases_of_skills(source, named_rows)
    return tuple(case for case in cases if _is_selected(case, names))


@lru_cache(maxsize=64)
def leveled_cases(family: str, level: int | None) -> tuple[Case, ...]:
    """Return the cases of a family of ``general-hard`` at a level; its pilot, if *level* is None.

    The cases of the pilot choose the level, and no gate evaluates them.
    """
    from pytest_ftgate.skills.texts import read_rendered_rows

    path = skills.level_file(family, level)
    source = SuiteSource(root=path.parent, path=path)
    rows = (Row(path, line, value) for line, value in read_rendered_rows(path))
    return _cases_of_skills(source, rows)


def _cases_of_skills(source: SuiteSource, rows: Iterable[Row]) -> tuple[Case, ...]:
    cases = to_cases(source, rows, ReplyRules(score=Rule("contains"), max_tokens=32))
    if source.errors:
        raise SuiteError("skills", source.errors)
    return cases


def _is_selected(case: Case, names: tuple[str, ...]) -> bool:
    """Return True if *names* holds the skill of *case*, or a set that holds the case."""
    tags = (skills.SETS[name] for name in names if name in skills.SETS)
    return case.skill in names or any(not tag or tag in case.tags for tag in tags)


def _with_skill_name(row: Row, skill: str | None) -> Row:
    """Return *row* with *skill* as its skill, unless the row names one or *skill* is None."""
    if skill is None or not isinstance(row.value, Mapping):
        return row
    return row._replace(value={"skill": skill, **row.value})
