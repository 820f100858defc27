"""Results by family, skill, difficulty and language, and the kinds of loss of regressed answers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

import numpy as np

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.checks import ROUNDING, p_beyond_half, pair_samples
from pytest_ftgate.gates.design import CONFIDENCE, Levels
from pytest_ftgate.gates.regressions import (
    SliceSides,
    adjusted_drops,
    p_alone,
    slice_members,
    slice_of,
    slice_samples,
    slice_state,
)
from pytest_ftgate.gates.samples import Samples, samples_from_values
from pytest_ftgate.gates.verdict import MIN_RATE_TO_LOSE, LossKind, Retention, Slice
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.formats import (
    FormatChecker,
    can_detect_language,
    detect_language,
    ends_in_loop,
    looks_like_refusal,
)
from pytest_ftgate.scoring.scores import CaseResult, VariantScores, skill_score
from pytest_ftgate.stats.paired import PairedCounts, p_drop
from pytest_ftgate.stats.resampling import SkillSample, retention_ratio
from pytest_ftgate.suite.gate_kinds import ForgettingGate, SkillPart
from pytest_ftgate.suite.model import Case, Suite

#: The limit of a family, unless that of the mean is larger.
FAMILY_MARGIN = 0.10


def skill_samples(scores: VariantScores) -> Samples:
    """Return the mean skill score of each skills case, 0 to 1; NaN without replies."""
    reply_scores = (skill_reply_scores(result) for result in scores.results.values())
    means = [sum(each) / len(each) if each else np.nan for each in reply_scores]
    return samples_from_values(scores, np.array(means)).select(scores.facts.weights > 0)


def skill_reply_scores(result: CaseResult) -> list[float]:
    """Return the skill score of each reply to one skills case, 0 to 1."""
    pairs = zip(result.replies, result.scores, strict=True)
    return [skill_score(result.case, reply, score) for reply, score in pairs]


def guess_share(cases: Iterable[Case]) -> float:
    """Return the share of *cases* that guessing gets right: one in c of those with c choices.

    As large a share of the losses stays hidden, since a model that has forgotten guesses.
    """
    shares = [1.0 / case.choices if case.choices else 0.0 for case in cases]
    return float(np.mean(shares)) if shares else 0.0


class SkillWeights:
    """The weights of skills in the mean, corrected for lucky guesses.

    A loss of ability shows in ``1 - guess`` as many points, so a skill with choices weighs more,
    and the limit of the mean is smaller.
    """

    def __init__(self, gate: ForgettingGate, cases: Iterable[Case]) -> None:
        by_skill = defaultdict[str, list[Case]](list)
        for case in cases:
            by_skill[str(case.skill)].append(case)
        shown = {skill: 1.0 - guess_share(group) for skill, group in by_skill.items()}
        self._weights = {skill: gate.weight(skill) / shown[skill] for skill in by_skill}
        self._skills = {case.id: skill for skill, group in by_skill.items() for case in group}
        #: The skills that count in the mean.
        self.counted = [skill for skill, weight in self._weights.items() if weight]
        total = sum(map(gate.weight, by_skill))
        #: The points of right answers that a point of ability costs in the mean.
        self.shown = total / sum(self._weights.values()) if total else 1.0

    def pair(self, before: Samples, after: Samples) -> PairedCounts:
        """Return the paired counts of the mean over the skills of two aligned samples.

        That is a mean over cases, each of which has a share of the weight of its skill.
        """
        found = [self._skills[case_id] for case_id in after.case_ids]
        names, codes = np.unique(found, return_inverse=True)
        totals = np.bincount(codes, after.case_weights)
        shares = np.array([self._weights[name] for name in names.tolist()]) / totals
        weights = after.case_weights * shares[codes]
        # Cases of one weight are counted, so their weights must not differ by rounding.
        equal = np.ptp(weights) < ROUNDING * weights.max()
        return pair_samples(before, replace(after, weights=None if equal else weights))


def _part_margin(gate: ForgettingGate, part: SkillPart, guess: float) -> float:
    """Return the limit of a tested family or skill.

    Guessing reaches the share *guess* of the right answers, which no loss of ability takes away.
    """
    limit = gate.required_part_margin(part) or max(FAMILY_MARGIN, gate.max_drop or 0.0)
    return limit * (1.0 - guess)


def _untested_state(pairs: PairedCounts, gate: ForgettingGate, part: SkillPart) -> str:
    if part[0] == "skill" and not gate.evaluates(part[1]):
        return "allowed"
    return "uninformative" if pairs.before <= MIN_RATE_TO_LOSE else "untested"


def skill_slices(
    before: Samples, after: Samples, cases: Sequence[Case], gate: ForgettingGate, levels: Levels
) -> tuple[Slice, ...]:
    """Return the results by family, by skill, by difficulty and by language.

    Families and skills come with the largest drop first. *before* and *after* are the scores of
    base and variant on the skills *cases*. All tested families and skills share the alarm level.
    """
    slices = [*_part_results(before, after, cases, gate, levels)]
    members = slice_members(cases, ["difficulty", "language"])
    for part, samples in sorted(slice_samples(before, after, members).items()):
        counts = pair_samples(*samples)
        state = _untested_state(counts, gate, part)
        found = _slice(part, samples, counts, p_drop(counts), state, gated=False, weight=0.0)
        slices.append(found)
    return tuple(slices)


def _part_results(
    before: Samples, after: Samples, cases: Sequence[Case], gate: ForgettingGate, levels: Levels
) -> list[Slice]:
    """Return the result of each family, then that of each skill, largest drop first.

    A tested part is ``kept`` if a drop of its margin is ruled out. Otherwise it is ``regressed`` if
    a real drop is shown, with Holm's correction over the tested parts, and the observed drop
    reaches the margin.
    """
    members = slice_members(cases, ["skill"])
    # Missing replies do not change what is tested, so the number of requested cases counts.
    sizes = {skill: len(ids) for (_, skill), ids in members.items()}
    tested, named = gate.tested_parts(sizes), gate.named_parts(sizes)
    families = gate.evaluated_families(sizes)
    for family, skills in families.items():
        members["family", family] = set[str]().union(*(members["skill", name] for name in skills))
    samples, slices = slice_samples(before, after, members), []
    pairs = {part: pair_samples(*both) for part, both in samples.items()}
    adjusted = adjusted_drops({part: pairs[part] for part in pairs if part in tested})
    for part, counts in pairs.items():
        (kind, name), margin = part, None
        p, state = p_drop(counts), _untested_state(counts, gate, part)
        if part in tested:
            guess = guess_share(case for case in cases if case.id in members[part])
            margin, p = _part_margin(gate, part, guess), adjusted[part]
            can_show = counts.before - guess > margin
            state = slice_state(counts, p, margin, levels) if can_show else "uninformative"
        more = {
            "p_alone": p_alone(counts) if part in named else None,
            "family": gate.family_of(name) if kind == "skill" else "",
            "gated": part in tested,
            "margin": margin,
            "p_half": None if margin is None else p_beyond_half(counts, margin),
            "required": part in tested and gate.required_part_margin(part) is not None,
            "weight": sum(map(gate.weight, families[name] if kind == "family" else [name])),
        }
        slices.append(_slice(part, samples[part], counts, p, state, **more))
    return sorted(slices, key=lambda part: (part.kind, part.change))


def _slice(
    part: SkillPart, samples: SliceSides, pairs: PairedCounts, p: float, state: str, **more: Any
) -> Slice:
    """Return the result of *part* with the cases that were kept, and with its retention."""
    before, after = (side.values for side in samples)
    kept = int(np.sum((before > 0) & (after >= before)))
    sample = SkillSample(before, after, min(pairs.n, pairs.effective))
    retention = skill_retention([sample])
    return slice_of(part, samples, pairs, p, state, kept=kept, retention=retention, **more)


def skill_retention(samples: Sequence[SkillSample]) -> Retention | None:
    """Return the retention of *samples* together, or None if the rate before is too low."""
    total = sum(sample.weight for sample in samples)
    before = sum(sample.weight * sample.before.mean() for sample in samples) / (total or 1.0)
    # The ratio to a lower rate would be mostly noise.
    ratio = retention_ratio(samples, CONFIDENCE) if before >= MIN_RATE_TO_LOSE else None
    if ratio is None:
        return None
    share, low, high = ratio
    return Retention(share, low, high if np.isfinite(high) else None)


# Kinds of loss ----------------------------------------------------------------------------------


class Loss(StrEnum):
    """The kinds of loss; the first is typical of a narrow fine-tune."""

    FORMAT = "in the trained task's format"
    CONTENT = "wrong content"
    EMPTY = "empty"
    REFUSAL = "refusal"
    LANGUAGE = "other language"
    REPETITION = "repetition"
    CUT_OFF = "cut off"


#: A text with fewer words has no detectable repetition.
_MIN_WORDS_FOR_REPETITION = 6
#: A text with fewer words has no detectable language.
_MIN_WORDS_FOR_LANGUAGE = 4
#: A text is repetitive if each of its different words occurs this often on average.
_REPETITIONS = 4
_MAX_EXAMPLES = 5
_INVENTED_LABEL = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")
#: The first characters of a reply, by the kind of format rule.
_FIRST_CHARS = {"json_schema": "{[", "pydantic": "{[", "xml": "<"}


class LossClassifier:
    """Classifies regressed answers by what is wrong with them now.

    A fine-tune may apply the reply format of the suite to every question.
    """

    def __init__(self, suite: Suite) -> None:
        excluded = ("python", "tool_call")
        self._rules = tuple(rule for rule in suite.reply.format if rule.kind not in excluded)
        self._labels = suite.labels
        self._folder = suite.path.parent
        self._checker = FormatChecker(self._folder)

    def classify(self, before: CaseResult | None, after: CaseResult) -> Loss:
        """Return the kind of loss of the first reply of *after*."""
        if not after.replies:
            return Loss.EMPTY
        reply, text = after.replies[0], after.replies[0].text.strip()
        old_text = before.replies[0].text.strip() if before and before.replies else ""
        if not text and reply.stop != "refusal":
            return Loss.CUT_OFF if reply.has_no_answer else Loss.EMPTY
        is_refusal = looks_like_refusal(text) and not looks_like_refusal(old_text)
        if reply.stop == "refusal" or is_refusal:
            return Loss.REFUSAL
        old_reply = replace(reply, text=old_text)
        if self._has_format(after.case, reply) and not self._has_format(after.case, old_reply):
            return Loss.FORMAT
        if _is_repetitive(text) and not _is_repetitive(old_text):
            return Loss.REPETITION
        return Loss.LANGUAGE if _is_other_language(text, old_text, after.case) else Loss.CONTENT

    def count_kinds(
        self, before: VariantScores, after: VariantScores, regressed: Sequence[str], under: str = ""
    ) -> tuple[LossKind, ...]:
        """Return the kinds of loss of the cases *regressed*, most frequent first."""
        ids_by_kind = defaultdict[Loss, list[str]](list)
        for case_id in regressed:
            kind = self.classify(before.results.get(case_id), after.results[case_id])
            ids_by_kind[kind].append(case_id)
        ranked = sorted(ids_by_kind.items(), key=lambda pair: -len(pair[1]))
        return tuple(
            LossKind(
                kind=kind,
                cases=len(ids),
                share=len(ids) / len(regressed),
                examples=tuple(ids[:_MAX_EXAMPLES]),
                under=under,
            )
            for kind, ids in ranked
        )

    def _has_format(self, case: Case, reply: Reply) -> bool:
        """Return True if *reply* has the reply format of the suite, or resembles it.

        A narrow fine-tune invents labels for other questions, such as ``japan_capital``.
        """
        text = reply.text.strip()
        if not text or not self._rules:
            return False
        if text in self._labels:
            return True
        if any("_" in label for label in self._labels) and _INVENTED_LABEL.fullmatch(text):
            return True
        kinds = (rule.kind for rule in self._rules if rule.kind in _FIRST_CHARS)
        if any(text[0] in _FIRST_CHARS[kind] for kind in kinds):
            return True
        return self._follows_rules(replace(case, format=self._rules, folder=self._folder), reply)

    def _follows_rules(self, case: Case, reply: Reply) -> bool:
        try:
            return self._checker.find_error(case, reply) is None
        except FtgateError:
            # A rule that raises for a reply to another question shows nothing about it.
            return False


def _is_repetitive(text: str) -> bool:
    words = text.casefold().split()
    has_few = len(set(words)) * _REPETITIONS <= len(words)
    return ends_in_loop(text) or (len(words) >= _MIN_WORDS_FOR_REPETITION and has_few)


def _is_other_language(text: str, old_text: str, case: Case) -> bool:
    """Return True if *text* is in neither the language of the case nor that of *old_text*."""
    script, old_script = _script(text), _script(old_text)
    if script and old_script and script != old_script:
        return True
    if not can_detect_language() or len(text.split()) < _MIN_WORDS_FOR_LANGUAGE:
        return False
    expected = (case.language, detect_language(old_text), detect_language(case.input_text))
    return detect_language(text) not in ("", "zxx", *expected)


def _script(text: str) -> str:
    """Return the script of most letters of *text*, such as ``LATIN``; "" without letters."""
    names = (unicodedata.name(char, "").partition(" ")[0] for char in text if char.isalpha())
    return next((name for name, _ in Counter(names).most_common()), "")
