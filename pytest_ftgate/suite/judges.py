"""Resolve the judges that a suite declares, with the human labels that validate them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.readers.source import (
    Declared,
    Text,
    declared_keys,
    fold_similar,
    validation_message,
)
from pytest_ftgate.readers.table import Row, read_rows, validate_row
from pytest_ftgate.readers.yaml import KeyPath
from pytest_ftgate.suite.declaration import (
    DeclaredJudge,
    DeclaredMinimum,
    DeclaredRubric,
    DeclaredVariant,
)
from pytest_ftgate.suite.draft import SuiteDraft, SuiteSource, VariantLocation
from pytest_ftgate.suite.model import DEFAULT_GRADES, PAIRWISE_GRADES, Case, Judge, Label, Variant
from pytest_ftgate.suite.providers import provider_spec
from pytest_ftgate.suite.removed import removal
from pytest_ftgate.suite.rule import COMBINED_KINDS, Rule
from pytest_ftgate.suite.templates import (
    TemplateError,
    case_variables,
    placeholder_message,
    render_template,
    template_errors,
    unfilled_placeholders,
)
from pytest_ftgate.suite.variants import resolve_variant


def grade_schema(grades: Mapping[str, float], max_reason: int | None = None) -> dict[str, Any]:
    """Return the JSON Schema of a judge's answer, with the reason before the grade.

    *max_reason* is the most characters of a reason, or None for no limit. Set it only where the
    provider can enforce it.
    """
    limit = {"maxLength": max_reason} if max_reason else {}
    return {
        "type": "object",
        "properties": {
            "reason": {"type": "string", **limit},
            "grade": {"type": "string", "enum": list(grades)},
        },
        "required": ["reason", "grade"],
        "additionalProperties": False,
    }


class _LabelRow(Declared):
    case: Text
    reply: str | None = None
    first: str | None = None
    second: str | None = None
    grade: str
    # Context for the person who labels. The package ignores these.
    input: Any = None
    expected: Any = None
    note: Any = None


def render_rubric(rubric: str, case: Case) -> str:
    """Return the template *rubric* rendered for *case*.

    Raises:
        TemplateError: a variable is undefined, or an expression fails.
    """
    return render_template(rubric, {"expected": case.expected, **case.template_values})


#: The minimum that a judge must reach when it has labels and declares no minimum.
_DEFAULT_MINIMUM = {"kappa": 0.4}
#: Keys of a variant that a judge does not take, and why.
_FORBIDDEN_KEYS = {
    **dict.fromkeys(("prompt", "user", "examples"), "its prompt is the rubric"),
    **dict.fromkeys(("retrieve", "tools", "max_turns"), "it sees the reply, the case, the rubric"),
    **dict.fromkeys(("response_schema", "training_data"), "its answers have a form of their own"),
    "like": "write its own provider and model, so that a variant's change cannot change it",
    **dict.fromkeys(("gated", "compared", "base"), "no gate evaluates it; labels do (human)"),
    "batch": "it grades replies of this run, which cannot wait a day",
}
#: Keys that cannot change a grade. They stay out of the rule, and so out of its digest.
_KEYS_WITHOUT_EFFECT = (
    *("slots", "threads", "api_key_env", "usd_per_1m_input", "usd_per_1m_output"),
    *("usd_per_1m_cached", "usd_per_1k", "price_model"),
)
#: Limits of a reason, where a grammar enforces them: the most characters, and the characters
#: allowed per token of ``max_tokens``. The limits leave room for the grade.
_MAX_REASON_CHARS, _REASON_CHARS_PER_TOKEN = 300, 2


@dataclass(frozen=True, slots=True)
class JudgeDeclaration:
    """One judge as declared: its rule, its keys, and their key path in the suite file."""

    rule: Rule
    declared: DeclaredJudge
    key_path: KeyPath


def extract_judges(source: SuiteSource, score: Rule) -> tuple[Rule, tuple[JudgeDeclaration, ...]]:
    """Return *score* with the rules of its judges completed, and the declared judges.

    The rule of a judge holds only keys that can change a grade. *score* is the suite's
    ``reply.score`` as declared. Errors go to *source*.
    """
    found: list[JudgeDeclaration] = []

    def extract(rule: Rule, path: KeyPath) -> Rule:
        if rule.kind in COMBINED_KINDS:
            inner = (*path, *_inner_path(rule))
            paths = iter([(*inner, index) for index in range(len(rule.value))])
            return rule.with_parts(lambda part: extract(part, next(paths)))
        rule, judge = _extract_judge(source, rule, path)
        found.extend([judge] if judge else [])
        return rule

    return extract(score, ("reply", "score")), tuple(found)


def _inner_path(rule: Rule) -> KeyPath:
    """Return the keys between a score that joins others and the list of them."""
    if rule.kind == "mean":
        return ()
    return ("all", "rules") if rule.options else ("all",)


def _extract_judge(
    source: SuiteSource, rule: Rule, score_path: KeyPath
) -> tuple[Rule, JudgeDeclaration | None]:
    if rule.kind != "judge":
        return rule, None
    key_path: KeyPath = (*score_path, "judge")
    try:
        declared = DeclaredJudge.model_validate(rule.options)
    except ValidationError as error:
        for detail in error.errors():
            _add_validation_error(source, key_path, dict(detail))
        return rule, None
    rubric = _read_rubric(source, declared, key_path)
    model = {key: value for key, value in declared.model.items() if key not in _KEYS_WITHOUT_EFFECT}
    options = {
        "model": model,
        "grades": dict(declared.grades or {}),
        "compare": declared.compare,
        "samples": declared.samples,
    }
    judge_rule = Rule("judge", rubric, options)
    return judge_rule, JudgeDeclaration(judge_rule, declared, key_path)


def _add_validation_error(source: SuiteSource, key_path: KeyPath, error: Mapping[str, Any]) -> None:
    error_path = (*key_path, *error["loc"])
    known = declared_keys(DeclaredMinimum if error["loc"][:1] == ("min",) else DeclaredJudge)
    message = validation_message(error, known, source.document.raw.get(error_path))
    if error["type"] == "missing":
        message += "; a judge is {rubric: ..., model: {provider: ..., model: ...}}"
    elif error["loc"][:1] == ("rubric",):
        # One that is neither has two errors, which become one.
        message = "rubric is text, or a file: {from: rubric.md}"
    source.add_error_at(error_path, f"judge: {message}")


def _read_rubric(source: SuiteSource, declared: DeclaredJudge, key_path: KeyPath) -> str:
    line = source.line(*key_path, "rubric")
    if isinstance(declared.rubric, DeclaredRubric):
        path = source.find_file(declared.rubric.source, line, "judge: rubric")
        return (source.read_text(path, line, "judge: rubric") if path else None) or ""
    rubric = declared.rubric.strip()
    if " " not in rubric and rubric.endswith((".md", ".txt")):
        source.add_error(line, f"judge: rubric is a text; for a file write {{from: {rubric}}}")
    return declared.rubric


def resolve_judges(
    suite: SuiteDraft, declarations: Iterable[JudgeDeclaration]
) -> tuple[Judge, ...]:
    """Return the judges of a suite. Errors are added."""
    judges = [_JudgeResolver(suite, declaration).judge() for declaration in declarations]
    return tuple(judge for judge in judges if judge)


class _JudgeResolver:
    """Resolves one judge declaration."""

    def __init__(self, suite: SuiteDraft, declaration: JudgeDeclaration) -> None:
        self.suite, self.source = suite, suite.source
        self.rule, self.declared = declaration.rule, declaration.declared
        self.key_path = declaration.key_path
        self.cases_by_id = {case.id: case for case in suite.cases}
        self.is_pairwise = self.declared.compare is not None
        written_grades = self.declared.grades or DEFAULT_GRADES
        self.grades = PAIRWISE_GRADES if self.is_pairwise else written_grades

    def add_error(self, key: str, message: str) -> None:
        self.source.add_error_at((*self.key_path, key), f"judge: {message}")

    def judge(self) -> Judge | None:
        """Return the judge, or None if its model cannot be resolved."""
        for key, message in self.key_errors():
            self.add_error(key, message)
        rubric = str(self.rule.value)
        variant = self.variant()
        labels = self.labels()
        self.check_rubric(rubric, [label.case for label in labels])
        if variant is None:
            return None
        return Judge(
            rule=self.rule,
            rubric=rubric,
            grades=self.grades,
            variant=variant,
            is_pairwise=self.is_pairwise,
            samples=self.declared.samples,
            labels=labels,
            minimum=self.minimum(),
        )

    def check_rubric(self, rubric: str, labelled: Sequence[Case]) -> None:
        """Add an error for each case that *rubric* cannot be rendered for."""
        source, cases = self.source, self.suite.cases
        line, errors_before = source.line(*self.key_path, "rubric"), len(source.errors)
        for _, message in template_errors(rubric, cases, of_rubric=True):
            source.add_error(line, f"judge: rubric: {message}")
        if len(source.errors) > errors_before:
            return
        graded = [case for case in cases if self.rule in case.score.parts]
        for case in {case.id: case for case in (*graded, *labelled)}.values():
            try:
                render_rubric(rubric, case)
            except TemplateError as error:
                source.errors.append(case.error(f"judge: the rubric fails for this case: {error}"))
        source.errors[errors_before:] = fold_similar(source.errors[errors_before:])
        names = case_variables(cases) | {"expected"}
        if found := unfilled_placeholders(rubric, (), names, cases):
            source.add_warning(line, f"judge: rubric: {placeholder_message(found)}")

    def minimum(self) -> dict[str, float]:
        if not self.declared.human:
            return {}
        minimum = self.declared.min.model_dump(exclude_none=True) if self.declared.min else {}
        return minimum or dict(_DEFAULT_MINIMUM)

    def key_errors(self) -> Iterator[tuple[str, str]]:
        """Yield the key and the message of each error of ``grades`` and ``min``."""
        grades, minimum = self.declared.grades, self.declared.min
        if grades and self.is_pairwise:
            yield "grades", f"grades: with compare they are {', '.join(self.grades)}; remove them"
        elif grades and len({*grades.values()}) == 1:
            yield "grades", "grades: all have the same value; give them different values"
        if minimum and not self.declared.human:
            yield "min", "min needs human: and a file of labels to compare the judge with"
        if minimum and minimum.consistency is not None and not self.is_pairwise:
            yield "min", "min: consistency needs compare, since it compares two orders of a pair"

    def variant(self) -> Variant | None:
        """Return the judge's model as a variant, or None if its keys are not valid."""
        key_path: KeyPath = (*self.key_path, "model")
        try:
            declared = DeclaredVariant.model_validate(self.declared.model)
        except ValidationError as error:
            for detail in error.errors():
                error_path = (*key_path, *detail["loc"])
                raw = self.source.document.raw.get(error_path)
                message = validation_message(dict(detail), declared_keys(DeclaredVariant), raw)
                # A judge's model has the keys of a variant.
                message = removal(("variants", "", *detail["loc"]), detail, message) or message
                self.source.add_error_at(error_path, f"judge: model: {message}")
            return None
        location = VariantLocation(self.suite, "judge", declared, key_path, "judge: model")
        if self.has_unsuitable_keys(location, declared):
            return None
        variant = resolve_variant(location)
        is_local = provider_spec(declared.provider).local
        limit = _REASON_CHARS_PER_TOKEN * (declared.max_tokens or _MAX_REASON_CHARS)
        max_reason = min(_MAX_REASON_CHARS, limit) if is_local else None
        return replace(variant, schema=grade_schema(self.grades, max_reason)) if variant else None

    def has_unsuitable_keys(self, location: VariantLocation, declared: DeclaredVariant) -> bool:
        """Add an error for each key that a judge cannot have. Return True if there is one."""
        keys = [key for key in _FORBIDDEN_KEYS if key in declared.model_fields_set]
        for key in keys:
            location.add_error(key, f"a judge has no {key}: {_FORBIDDEN_KEYS[key]}; remove it")
        provider = declared.provider
        cannot_grade = not provider_spec(provider).reads_messages
        if cannot_grade:
            message = f"provider {provider} cannot read a rubric; name a model"
            location.add_error("provider", message)
        return bool(keys) or cannot_grade

    def labels(self) -> tuple[Label, ...]:
        """Return the labels in the judge's label file, if it declares one."""
        source, written_path = self.source, self.declared.human
        line = source.line(*self.key_path, "human")
        path = source.find_file(written_path, line, "judge: human") if written_path else None
        if path is None:
            return ()
        errors_before = len(source.errors)
        rows = read_rows(source, path, line, "judge: human")
        labels = [label for row in rows if (label := self.parse_label(row))]
        if not labels and len(source.errors) == errors_before:
            source.add_error(line, f"judge: human: {written_path} contains no labels")
        source.errors[errors_before:] = fold_similar(source.errors[errors_before:])
        return tuple(labels)

    def parse_label(self, row: Row) -> Label | None:
        label = validate_row(self.source, row, _LabelRow, "label")
        if label is None:
            return None
        if problem := self.label_error(label):
            self.source.add_error(row.line, f"in a label: {problem}", row.path)
            return None
        return Label(
            case=self.cases_by_id[label.case],
            reply=(label.first if self.is_pairwise else label.reply) or "",
            second_reply=label.second if self.is_pairwise else None,
            grade=label.grade,
            location=f"{self.source.display_path(row.path)}:{row.line}",
        )

    def label_error(self, label: _LabelRow) -> str | None:
        if label.case not in self.cases_by_id:
            hint = did_you_mean(label.case, self.cases_by_id)
            return f'there is no case "{label.case}" in the suite{hint}'
        if self.is_pairwise and (label.first is None or label.second is None):
            return 'a judge that compares needs "first" and "second", the two replies'
        if not self.is_pairwise and label.reply is None:
            return '"reply" is missing: the text that was graded'
        allowed = " or ".join(self.grades)
        if not label.grade.strip():
            return f'"grade" is empty; write {allowed}, or take the row out'
        if label.grade not in self.grades:
            hint = did_you_mean(label.grade, self.grades)
            return f'"{label.grade}" is none of the grades {allowed}{hint}'
        return None
