"""Declared judges become judges, with the human labels that validate them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from jinja2 import TemplateError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_ftgate.errors import did_you_mean
from pytest_ftgate.readers.source import Source, folded, keys_of, sentence
from pytest_ftgate.readers.table import Row, rows
from pytest_ftgate.readers.yaml import Document, Where
from pytest_ftgate.suite.declaration import (
    DeclaredFloor,
    DeclaredJudge,
    DeclaredRubric,
    DeclaredSuite,
    DeclaredVariant,
)
from pytest_ftgate.suite.location import Place
from pytest_ftgate.suite.model import GRADES, ORDERS, Case, Judge, Label, ReplyRules, Variant
from pytest_ftgate.suite.plugins import SuiteSource
from pytest_ftgate.suite.providers import LOCAL
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.templates import names
from pytest_ftgate.suite.variants import resolve_one

__all__ = ["Declared", "declared_judges", "labels_of", "resolve_judges", "schema_of"]


def schema_of(grades: Mapping[str, float], longest: int | None = None) -> dict[str, Any]:
    """Return the JSON Schema of what a judge answers, its reason first.

    Args:
        grades: what it may say.
        longest: the most characters of a reason, where the one who is asked can hold to that.
    """
    reason: dict[str, Any] = {"type": "string"}
    return {
        "type": "object",
        "properties": {
            "reason": {**reason, "maxLength": longest} if longest else reason,
            "grade": {"type": "string", "enum": list(grades)},
        },
        "required": ["reason", "grade"],
        "additionalProperties": False,
    }


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    case: Annotated[str, Field(min_length=1)]
    reply: str | None = None
    first: str | None = None
    second: str | None = None
    grade: str
    # What a person who labels is shown, and may write down.
    input: Any = None
    expected: Any = None
    note: Any = None


def labels_of(
    source: Source,
    written: str | None,
    line: int,
    cases: tuple[Case, ...],
    grades: Collection[str],
    *,
    pairs: bool,
) -> tuple[Label, ...]:
    """Return the labels in the file that a suite calls *written*; faults go to *source*.

    Args:
        source: the suite file.
        written: the path of the file, or None where there is none.
        line: where it is named.
        cases: of the suite.
        grades: what the judge may say.
        pairs: it says it of two replies.
    """
    path = source.find(written, line, "judge: human") if written else None
    if path is None:
        return ()
    known = {case.id: case for case in cases}
    before = len(source.faults)
    found = [
        one
        for row in rows(source, path, line, "judge: human")
        for one in _label(source, row, known, grades, pairs=pairs)
    ]
    if not found and len(source.faults) == before:
        source.say(line, f"judge: human: {written} holds no labels")
    source.faults[before:] = folded(source.faults[before:])
    return tuple(found)


def _label(
    source: Source,
    row: Row,
    cases: Mapping[str, Case],
    grades: Collection[str],
    *,
    pairs: bool,
) -> Iterator[Label]:
    try:
        read = _Row.model_validate(row.value)
    except ValidationError as error:
        for one in error.errors():
            told = sentence(dict(one), keys_of(_Row), row.written.get(tuple(one["loc"])))
            source.say(row.line, f"in a label: {told}", row.path)
        return
    wrong = _wrong(read, cases, grades, pairs=pairs)
    if wrong:
        source.say(row.line, f"in a label: {wrong}", row.path)
        return
    first, second = (read.first or "", read.second) if pairs else (read.reply or "", None)
    where = f"{source.name(row.path)}:{row.line}"
    yield Label(case=cases[read.case], reply=first, other=second, grade=read.grade, where=where)


def _wrong(
    read: _Row, cases: Mapping[str, Case], grades: Collection[str], *, pairs: bool
) -> str | None:
    if read.case not in cases:
        return f'there is no case "{read.case}" in the suite{did_you_mean(read.case, cases)}'
    if pairs and (read.first is None or read.second is None):
        return 'a judge that compares needs "first" and "second", the two replies'
    if not pairs and read.reply is None:
        return '"reply" is missing: the text that was graded'
    either = " or ".join(grades)
    if not read.grade.strip():
        return f'"grade" is empty; write {either}, or take the row out'
    if read.grade not in grades:
        near = did_you_mean(read.grade, grades)
        return f'"{read.grade}" is none of the grades {either}{near}'
    return None


#: What a judge must have been shown to reach where labels are given and no floor is.
_FLOOR = {"kappa": 0.4}
#: Keys of a variant that say nothing to a judge, and why.
_NOT_HIS = {
    **dict.fromkeys(("prompt", "user", "examples"), "what it is told is the rubric"),
    **dict.fromkeys(("retrieve", "tools", "max_turns"), "it sees the reply, the case, the rubric"),
    **dict.fromkeys(("response_schema", "training_data"), "its answers have a form of their own"),
    "like": "write its own provider and model, so that a variant's change cannot change it",
    "gated": "no gate judges it; labels do (human)",
    "base": "no gate judges it; labels do (human)",
    "batch": "it is asked once replies are here, and does not wait a day",
}
#: Keys that cannot change a grade.
_IDLE = (
    *("slots", "threads", "api_key_env", "usd_per_1m_input", "usd_per_1m_output", "usd_per_1k"),
    "price_model",
)
#: The most characters of a reason where a grammar holds the model to them, so that its grade still
#: has room; for each token that it may write so many.
_REASON, _A_TOKEN = 300, 2


@dataclass(frozen=True, slots=True)
class Declared:
    """One judge as it was declared: its rule, what it says, and where it stands."""

    rule: Rule
    own: DeclaredJudge
    at: Where


def declared_judges(
    source: Source, document: Document, score: Rule
) -> tuple[Rule, tuple[Declared, ...]]:
    """Return *score* with each judge's rule made of what can change a grade, and the judges.

    Args:
        source: the suite file; what is wrong is noted there.
        document: its content, with lines.
        score: the suite's, as it was declared.
    """
    if score.kind == "mean":
        made = [
            (_read(source, document, part, ("reply", "score", index)), weight)
            for index, (part, weight) in enumerate(score.value)
        ]
        parts = tuple((rule, weight) for (rule, _), weight in made)
        return Rule("mean", parts), tuple(one for (_, one), _ in made if one)
    rule, found = _read(source, document, score, ("reply", "score"))
    return rule, (found,) if found else ()


def _read(
    source: Source, document: Document, rule: Rule, where: Where
) -> tuple[Rule, Declared | None]:
    if rule.kind != "judge":
        return rule, None
    at: Where = (*where, "judge")
    try:
        own = DeclaredJudge.model_validate(rule.options)
    except ValidationError as error:
        for one in _once(error.errors()):
            _say(source, document, at, one)
        return rule, None
    rubric = _rubric(source, document, own, at)
    model = {key: value for key, value in own.model.items() if key not in _IDLE}
    grades = dict(own.grades or {})
    made = Rule(
        "judge",
        rubric,
        {"model": model, "grades": grades, "compare": own.compare, "samples": own.samples},
    )
    return made, Declared(made, own, at)


def _once(errors: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield one error for each key: a rubric that is neither text nor a file brings two."""
    seen = set()
    for one in errors:
        key = one["loc"][:1] if one["loc"] and one["loc"][0] == "rubric" else one["loc"]
        if key not in seen:
            seen.add(key)
            yield dict(one)


def _say(source: Source, document: Document, at: Where, error: Mapping[str, Any]) -> None:
    where = tuple(error["loc"])
    line = document.line((*at, *where))
    if where[:1] == ("rubric",) and error["type"] != "missing":
        source.say(line, "judge: rubric is text, or a file: {from: rubric.md}")
        return
    known = keys_of(DeclaredFloor if where[:1] == ("floor",) else DeclaredJudge)
    told = sentence(error, known, document.written.get((*at, *where)))
    need = "; a judge is {rubric: ..., model: {provider: ..., model: ...}}"
    source.say(line, f"judge: {told}{need if error['type'] == 'missing' else ''}")


def _rubric(source: Source, document: Document, own: DeclaredJudge, at: Where) -> str:
    line = document.line((*at, "rubric"))
    if isinstance(own.rubric, DeclaredRubric):
        path = source.find(own.rubric.source, line, "judge: rubric")
        return (source.text(path, line, "judge: rubric") if path else None) or ""
    if " " not in own.rubric.strip() and own.rubric.strip().endswith((".md", ".txt")):
        told = f"judge: rubric is a text; for a file write {{from: {own.rubric.strip()}}}"
        source.say(line, told)
    return own.rubric


def resolve_judges(  # noqa: PLR0913, PLR0917 - all that a suite says of them
    source: SuiteSource,
    document: Document,
    declared: DeclaredSuite,
    found: Iterable[Declared],
    cases: tuple[Case, ...],
    reply: ReplyRules,
    others: Collection[str] | None = (),
) -> tuple[Judge, ...]:
    """Return the judges of a suite; what is wrong with them goes to *source*."""
    made = [_Resolving(source, document, declared, one) for one in found]
    judges = [one.judge(cases, reply, others) for one in made]
    return tuple(judge for judge in judges if judge)


class _Resolving:
    """One judge on its way."""

    def __init__(
        self, source: SuiteSource, document: Document, declared: DeclaredSuite, found: Declared
    ) -> None:
        self.source, self.document, self.declared = source, document, declared
        self.rule, self.own, self.at = found.rule, found.own, found.at

    def say(self, key: str, message: str) -> None:
        self.source.say(self.document.line((*self.at, key)), f"judge: {message}")

    def judge(
        self, cases: tuple[Case, ...], reply: ReplyRules, others: Collection[str] | None
    ) -> Judge | None:
        self.check_grades()
        self.check_rubric(cases)
        if self.own.floor and not self.own.human:
            self.say("floor", "floor without human: there are no labels to reach it by")
        if self.own.floor and self.own.floor.consistency is not None and not self.own.compare:
            self.say("floor", "floor: consistency is of two orders, which only compare has")
        variant = self.variant(cases, reply, others)
        compares, grades = self.own.compare is not None, self.grades()
        line = self.document.line((*self.at, "human"))
        labels = labels_of(self.source, self.own.human, line, cases, grades, pairs=compares)
        if variant is None:
            return None
        return Judge(
            rule=self.rule,
            rubric=str(self.rule.value),
            grades=grades,
            variant=variant,
            compares=compares,
            samples=self.own.samples,
            labels=labels,
            floor=self.floor(),
        )

    def grades(self) -> Mapping[str, float]:
        return ORDERS if self.own.compare else (self.own.grades or GRADES)

    def floor(self) -> dict[str, float]:
        if not self.own.human:
            return {}
        wanted = self.own.floor.model_dump(exclude_none=True) if self.own.floor else {}
        return wanted or dict(_FLOOR)

    def check_grades(self) -> None:
        grades = self.own.grades
        if grades is None:
            return
        if self.own.compare:
            self.say("grades", f"grades: with compare they are {', '.join(ORDERS)}; remove them")
        elif len(set(grades.values())) == 1:
            self.say("grades", "grades: all are worth the same, so none would tell anything")

    def check_rubric(self, cases: tuple[Case, ...]) -> None:
        try:
            wanted = names(str(self.rule.value))
        except TemplateError as error:
            self.say("rubric", f"rubric: not a template: {error}")
            return
        offered = {"input", "id", "tags", "expected", *(key for case in cases for key in case.vars)}
        for name in sorted(wanted - offered) if cases else ():
            near = did_you_mean(name, offered) or f"; cases have {', '.join(sorted(offered))}"
            self.say("rubric", f'rubric: no case has "{name}"{near}')

    def variant(
        self, cases: tuple[Case, ...], reply: ReplyRules, others: Collection[str] | None
    ) -> Variant | None:
        at: Where = (*self.at, "model")
        try:
            own = DeclaredVariant.model_validate(self.own.model)
        except ValidationError as error:
            for one in error.errors():
                where = tuple(one["loc"])
                written = self.document.written.get((*at, *where))
                told = sentence(dict(one), keys_of(DeclaredVariant), written)
                self.source.say(self.document.line((*at, *where)), f"judge: model: {told}")
            return None
        place = Place(self.source, self.document, "judge", own, at, "judge: model")
        if self.misfits(place, own):
            return None
        made = resolve_one(place, self.declared, cases, reply, others)
        room = _A_TOKEN * own.max_tokens if own.max_tokens else _REASON
        longest = min(_REASON, room) if own.provider in LOCAL else None
        return replace(made, schema=schema_of(self.grades(), longest)) if made else None

    def misfits(self, place: Place, own: DeclaredVariant) -> bool:
        found = [key for key in _NOT_HIS if key in own.model_fields_set]
        for key in found:
            place.say(key, f"a judge has no {key}: {_NOT_HIS[key]}; remove it")
        unable = own.provider in ("classical", "recorded")
        if unable:
            place.say("provider", f"provider {own.provider} cannot read a rubric; name a model")
        return bool(found) or unable
