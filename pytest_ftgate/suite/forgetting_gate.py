"""Resolve the gate ``forgetting``: its skills, their families, levels and margins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_ftgate import skills
from pytest_ftgate.errors import SuiteError, did_you_mean
from pytest_ftgate.readers.table import Row
from pytest_ftgate.suite.cases import skill_cases, to_cases
from pytest_ftgate.suite.declaration import DeclaredForgetting, DeclaredLog
from pytest_ftgate.suite.draft import SuiteSource
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.model import Case, ReplyRules, Variant
from pytest_ftgate.suite.rule import Rule
from pytest_ftgate.suite.templates import CASE_VARIABLES, PASSAGES, template_variables

#: Reads another suite file whose cases form a skill, and returns these cases.
SkillReader = Callable[[Path], tuple[Case, ...]]
_KEY_PATH = ("gates", "forgetting")
#: The variables that every skill case offers to a prompt template.
_SKILL_VARIABLES = frozenset({*CASE_VARIABLES, PASSAGES})


def _add_error(source: SuiteSource, message: str, *keys: str | int) -> None:
    """Add an error at *keys* of the forgetting gate."""
    source.add_error_at((*_KEY_PATH, *keys), f"forgetting: {message}")


class _ForgettingResolver:
    """Resolves the forgetting gate, and adds errors at its keys."""

    def __init__(
        self, source: SuiteSource, declared: DeclaredForgetting, read_skill: SkillReader
    ) -> None:
        self.source, self.declared, self.read_skill = source, declared, read_skill
        self.listed = declared.skills if isinstance(declared.skills, tuple) else (declared.skills,)
        self.names = tuple(name for name in self.listed if isinstance(name, str))
        self.leveled = skills.leveled_families(self.names)
        self.line = source.line(*_KEY_PATH, "skills")

    def add_error(self, message: str, *keys: str | int) -> None:
        _add_error(self.source, message, *keys)

    def gate(self) -> ForgettingGate | None:
        """Return the gate, or None if its skills cannot be read."""
        from pytest_ftgate.suite.skill_levels import reference_cases

        declared, errors_before = self.declared, len(self.source.errors)
        if declared.stop_early and any(isinstance(log, DeclaredLog) for log in self.listed):
            self.add_error(
                "stop_early: a log holds all of its answers, so none is saved; remove stop_early",
                "stop_early",
            )
        bundled, own = self.skill_cases()
        if len(self.source.errors) > errors_before:
            return None
        of_levels = reference_cases(self.leveled)
        cases = (*self.with_must_keep((*bundled, *own)), *of_levels)
        tested, named = _skills_of(cases), _skills_of((*bundled, *of_levels))
        families = self.families(named, _skills_of(own))
        by_family = _skills_by_family(families, tested)
        self.check_keys(tested, by_family)
        return ForgettingGate(
            line=self.source.line(*_KEY_PATH),
            cases=cases,
            leveled=self.leveled,
            families=families,
            margins={key: limit for key, limit in declared.margins.items() if key in tested},
            family_margins={k: limit for k, limit in declared.margins.items() if k in by_family},
            weights=self.weights(by_family),
            **declared.model_dump(include={"max_drop", "each", "max_tokens", "stop_early"}),
            may_lose=tuple(dict.fromkeys(declared.may_lose)),
            under_prompt=declared.under == "prompt",
        )

    # Cases of skills

    def skill_cases(self) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
        """Return the cases of named skills, and those of suites and logs that are used as skills.

        The latter are left out if an id, or the name of a skill, is in use already.
        """
        if not self.listed:
            self.add_error("skills: the list is empty; write skills: general", "skills")
            return (), ()
        bundled = self.bundled_cases(tuple(name for name in self.names if not _is_path(name)))
        own = [case for name in self.names if _is_path(name) for case in self.suite_cases(name)]
        logs = (log for log in self.listed if isinstance(log, DeclaredLog))
        own += [case for log in logs for case in self.log_cases(log)]
        cases_by_id, of_package = dict[str, Case](), _skills_of(bundled)
        for case in own:
            if case.skill in of_package or skills.leveled_family(str(case.skill)) in self.leveled:
                message = f'skill "{case.skill}" of {case.location} has the name of another one'
                self.add_error(f"{message} in use; rename it", "skills")
                return bundled, ()
            if cases_by_id.setdefault(case.id, case) is not case:
                message = f"skills: {case.id} is named by two suites; rename one file"
                self.add_error(message, "skills")
                return bundled, ()
        return bundled, tuple(own)

    def bundled_cases(self, names: tuple[str, ...]) -> tuple[Case, ...]:
        """Return the cases of the named sets and skills, from the package or from plugins."""
        plugin_skills = self.source.plugins.skills
        known = (*skills.set_names(), *skills.skill_names(plugin_skills))
        unknown = [name for name in names if name not in known]
        others = f"; known: {', '.join(known)}, or the path of a suite"
        for name in unknown:
            hint = did_you_mean(name, known) or others
            self.add_error(f'no skill "{name}"{hint}', "skills")
        fixed = tuple(name for name in names if not skills.leveled_families([name]))
        if unknown or not fixed:
            return ()
        try:
            return skill_cases(fixed, tuple(plugin_skills.items()))
        except SuiteError as error:
            self.source.errors.extend(error.errors)
            return ()

    def suite_cases(self, pattern: str) -> Iterator[Case]:
        """Yield the cases of the suites that match *pattern*, with the file name in each id."""
        for path in self.source.find_files(pattern, self.line, "forgetting: skills"):
            if path == self.source.path:
                message = "skills: a suite cannot be a skill of its own; name another"
                self.add_error(message, "skills")
                continue
            stem, errors_before = path.name.removesuffix(".ftgate.yaml"), len(self.source.errors)
            cases = [case for case in self.read_skill(path) if case.is_scorable or case.format]
            for case in cases:
                group, skill = case.group and f"{stem}/{case.group}", case.skill or stem
                id_ = f"{stem}/{case.id}"
                yield replace(case, id=id_, skill=skill, group=group, folder=path.parent)
            if not cases and len(self.source.errors) == errors_before:
                message = f"no case of {self.source.display_path(path)} expects anything"
                self.add_error(f"skills: {message}", "skills")

    def log_cases(self, log: DeclaredLog) -> Iterator[Case]:
        """Yield the cases of a log of another harness, each with the scores that stand in it."""
        from pytest_ftgate.suite.external_cases import log_cases

        path = self.source.find_file(log.path, self.line, "forgetting: skills", folders=True)
        if path is not None:
            found = log_cases(self.source, path, self.line, log.tool)
            rows = (Row(path, row.line, value) for row, value in found)
            reply = ReplyRules(score=Rule("recorded", options={"partial": True}), max_tokens=32)
            for case in to_cases(self.source, rows, reply):
                yield replace(case, group=None)

    def with_must_keep(self, cases: tuple[Case, ...]) -> tuple[Case, ...]:
        """Return *cases* with ``must_keep`` set on those that the gate names."""
        ids, known_ids = self.declared.must_keep, {case.id for case in cases}
        for index, case_id in enumerate(ids):
            if case_id not in known_ids:
                hint = did_you_mean(case_id, known_ids) or "; ids are such as arithmetic-001"
                message = f'must_keep: no skills case has the id "{case_id}"{hint}'
                self.add_error(message, "must_keep", index)
        return tuple(replace(case, must_keep=True) if case.id in ids else case for case in cases)

    # Keys that name skills

    def check_keys(self, tested: Collection[str], by_family: Mapping[str, Sequence[str]]) -> None:
        """Add an error for each key that names an untested skill, and for keys that contradict."""
        lost, weights = self.declared.may_lose, self.weights(by_family)
        for key in ("may_lose", "margins", "weights"):
            of_lost = key == "may_lose"
            known = tested if of_lost else (*tested, *by_family)
            for index, skill in enumerate(getattr(self.declared, key)):
                item_key = index if of_lost else skill
                if skill not in known:
                    hint = did_you_mean(skill, tested) or f"; tested: {', '.join(known)}"
                    self.add_error(f'{key}: no skill "{skill}" is tested{hint}', key, item_key)
                elif not of_lost and skill in lost:
                    message = f"{key}: {skill} may be lost, so this has no effect; remove one"
                    self.add_error(message, key, item_key)
        evaluated = [skill for skill in tested if skill not in lost]
        if tested and not evaluated:
            message = "may_lose: every skill may be lost, so nothing would be evaluated"
            self.add_error(message, "may_lose")
        elif tested and not any(weights.get(skill, 1.0) for skill in evaluated):
            message = "weights: every weight is 0, so there is no mean; leave one above"
            self.add_error(message, "weights")

    def weights(self, by_family: Mapping[str, Sequence[str]]) -> dict[str, float]:
        """Return the weight of each skill that has one of its own, or whose family has."""
        weights = self.declared.weights
        of_families = {
            skill: weight * skills.default_weight(skill)
            for name, weight in weights.items()
            for skill in by_family.get(name, ())
        }
        return of_families | {name: w for name, w in weights.items() if name not in by_family}

    def families(self, bundled: Collection[str], own: Collection[str]) -> dict[str, str]:
        """Return the family of each skill that a family lists, and of each of the team's *own*."""
        tested, listed = {*bundled, *own}, dict[str, str]()
        for family, names in self.declared.families.items():
            for index, skill in enumerate(names):
                message = ""
                if skill not in tested:
                    hint = did_you_mean(skill, tested) or f"; tested: {', '.join((*bundled, *own))}"
                    message = f'no skill "{skill}" is tested{hint}'
                elif listed.setdefault(skill, family) != family:
                    message = f"{skill} is in {listed[skill]} and in {family}; keep one"
                if message:
                    self.add_error(f"families: {message}", "families", family, index)
        families = {skill: skill for skill in own} | listed
        of = {skill: families.get(skill) or skills.family_of(skill) for skill in tested}
        for skill in sorted(tested - listed.keys()):
            if of[skill] == skill and any(of[other] == skill for other in tested - {skill}):
                remedy = f"rename it, or write families: {{{skill}: [{skill}]}} to join it"
                self.add_error(f'skill "{skill}" has the name of a family; {remedy}', "skills")
        return families


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml"))


def _skills_of(cases: Iterable[Case]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(case.skill) for case in cases))


def _skills_by_family(
    families: Mapping[str, str], tested: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Return the tested skills of each family whose name is not that of a skill."""
    by_family = defaultdict[str, list[str]](list)
    for skill in tested:
        by_family[families.get(skill) or skills.family_of(skill)].append(skill)
    return {name: tuple(of) for name, of in by_family.items() if name not in {*tested}}


def resolve_forgetting(
    source: SuiteSource, declared: DeclaredForgetting | None, read_skill: SkillReader
) -> ForgettingGate | None:
    """Return the gate, or None if its skills cannot be read; errors go to *source*."""
    return _ForgettingResolver(source, declared or DeclaredForgetting(), read_skill).gate()


def check_variants(source: SuiteSource, gate: ForgettingGate, variants: Iterable[Variant]) -> None:
    """Add an error for each variant that the gate cannot ask as it declares."""
    for variant in variants:
        is_prompted = gate.under_prompt and variant.tuned and variant.gated
        if message := _prompt_error(variant) if is_prompted else "":
            _add_error(source, f"under: {message}", "under")
        if gate.stop_early and variant.gated and variant.base_replies is not None:
            message = (
                f"stop_early: the base of {variant.name} is recorded, so all questions are asked "
                "to tell it from its base; remove stop_early"
            )
            _add_error(source, message, "stop_early")


def _prompt_error(variant: Variant) -> str:
    """Return why the prompt of *variant* cannot be used with skills, or ""."""
    name, prompt = variant.name, variant.system
    if not prompt:
        return f"variant {name} has no prompt; give it one, or write under: own"
    if variant.base_replies:
        return f"the base of {name} is recorded, as it answered without a prompt; write under: own"
    missing = ", ".join(sorted(template_variables(prompt) - _SKILL_VARIABLES))
    why = f"the prompt of {name} wants {missing}, which skills cases do not have; write under: own"
    return why if missing else ""
