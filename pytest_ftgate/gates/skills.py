"""Results by skill, difficulty and language, and the kinds of loss of regressed answers."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.checks import pair_samples
from pytest_ftgate.gates.levels import CONFIDENCE, MIN_GROUPS, Levels
from pytest_ftgate.gates.samples import Samples, align, samples_from_values
from pytest_ftgate.gates.slices import slice_members
from pytest_ftgate.gates.verdict import LossKind, Retention, Slice
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.formats import (
    FormatChecker,
    can_detect_language,
    detect_language,
    ends_in_loop,
    looks_like_refusal,
)
from pytest_ftgate.scoring.scores import CaseResult, VariantScores, skill_score
from pytest_ftgate.stats.paired import PairedCounts, holm, p_drop, p_noninferior, tango_interval
from pytest_ftgate.stats.resampling import SkillSample, macro_difference, retention_ratio
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.model import Case, Suite

#: A skill without its own margin is ``kept`` if a drop of this size is ruled out.
DEFAULT_SKILL_MARGIN = 0.10
#: With a lower rate before, no retention is reported: the ratio would be mostly noise.
_MIN_RATE_FOR_RETENTION = 0.10


def skill_samples(scores: VariantScores) -> Samples:
    """Return the mean skill score of each skills case, 0 to 1; NaN without replies."""
    reply_scores = (skill_reply_scores(result) for result in scores.results.values())
    means = [np.mean(case_scores) if case_scores else np.nan for case_scores in reply_scores]
    values = np.array(means, dtype=np.float64)
    return samples_from_values(scores, values).select(scores.weights > 0)


def skill_reply_scores(result: CaseResult) -> list[float]:
    """Return the skill score of each reply to one skills case, 0 to 1."""
    pairs = zip(result.replies, result.scores, strict=True)
    return [skill_score(result.case, reply, score) for reply, score in pairs]


def mean_over_skills(gate: ForgettingGate, pairs: Mapping[str, PairedCounts]) -> PairedCounts:
    """Return the paired counts of the mean over the skills, by the weights of *gate*."""
    weighted = {skill: counts for skill, counts in pairs.items() if gate.weight(skill)}
    return macro_difference([*weighted.values()], [gate.weight(skill) for skill in weighted])


def skill_states(
    gate: ForgettingGate, pairs: Mapping[str, PairedCounts], levels: Levels
) -> dict[str, str]:
    """Return the state of each skill: see *Slice.state*.

    A skill is ``kept`` if a drop of its margin is ruled out. Otherwise it is ``regressed`` if a
    real drop is shown, with Holm's correction over the evaluated skills.
    """
    evaluated = {skill: counts for skill, counts in pairs.items() if gate.evaluates(skill)}
    adjusted = _adjusted_p_values(evaluated)
    return {
        skill: _state(counts, adjusted.get(skill, p_drop(counts)), _margin(gate, skill), levels)
        for skill, counts in pairs.items()
    }


def _adjusted_p_values(pairs: Mapping[str, PairedCounts]) -> dict[str, float]:
    corrected = holm([p_drop(counts) for counts in pairs.values()])
    return {name: float(p) for name, p in zip(pairs, corrected, strict=True)}


def _margin(gate: ForgettingGate, skill: str) -> float:
    return gate.required_margin(skill) or DEFAULT_SKILL_MARGIN


def _state(pairs: PairedCounts, adjusted: float, margin: float, levels: Levels) -> str:
    if pairs.before <= margin:
        return "uninformative"
    if pairs.groups is not None and pairs.groups < MIN_GROUPS:
        return "inconclusive"
    if p_noninferior(pairs, margin) <= levels.miss:
        return "kept"
    return "regressed" if adjusted <= levels.alarm else "inconclusive"


def skill_slices(
    before: Samples, after: Samples, cases: Sequence[Case], gate: ForgettingGate, levels: Levels
) -> tuple[Slice, ...]:
    """Return the result of each skill, largest drop first, then by difficulty and by language.

    *before* and *after* are the scores of base and variant on the skills *cases*. All skills share
    the alarm level.
    """
    before, after = align(before, after)
    answered = before.has_reply & after.has_reply
    before, after = before.select(answered), after.select(answered)
    slices = [*_skill_results(before, after, cases, gate, levels)]
    for kind in ("difficulty", "language"):
        slices += _ungated_slices(before, after, cases, kind, levels)
    return tuple(slices)


def _skill_results(
    before: Samples, after: Samples, cases: Sequence[Case], gate: ForgettingGate, levels: Levels
) -> list[Slice]:
    samples = _samples_by_slice(before, after, cases, "skill")
    pairs = {skill: pair_samples(*both) for skill, both in samples.items()}
    states, adjusted = skill_states(gate, pairs, levels), _adjusted_p_values(pairs)
    slices = [
        replace(
            _slice("skill", skill, samples[skill], counts, adjusted[skill]),
            state=states[skill],
            gated=gate.evaluates(skill),
            margin=_margin(gate, skill),
            required=gate.required_margin(skill) is not None,
            weight=gate.weight(skill),
        )
        for skill, counts in pairs.items()
    ]
    return sorted(slices, key=lambda part: part.change)


def _ungated_slices(
    before: Samples, after: Samples, cases: Sequence[Case], kind: str, levels: Levels
) -> Iterator[Slice]:
    """Yield the slices by difficulty or by language. They are reported and not evaluated."""
    samples = _samples_by_slice(before, after, cases, kind)
    pairs = {name: pair_samples(*both) for name, both in samples.items()}
    adjusted = _adjusted_p_values(pairs)
    for name, counts in sorted(pairs.items()):
        part = _slice(kind, name, samples[name], counts, adjusted[name])
        state = _state(counts, adjusted[name], DEFAULT_SKILL_MARGIN, levels)
        yield replace(part, state=state, gated=False, margin=DEFAULT_SKILL_MARGIN, weight=0.0)


def _samples_by_slice(
    before: Samples, after: Samples, cases: Sequence[Case], kind: str
) -> dict[str, tuple[Samples, Samples]]:
    samples = {}
    for (_, name), members in slice_members(cases, [kind]).items():
        mask = np.array([case_id in members for case_id in after.case_ids], dtype=bool)
        if mask.any():
            samples[name] = (before.select(mask), after.select(mask))
    return samples


def _slice(
    kind: str, name: str, samples: tuple[Samples, Samples], pairs: PairedCounts, adjusted: float
) -> Slice:
    low, high = tango_interval(pairs, CONFIDENCE)
    before, after = samples[0].values, samples[1].values
    return Slice(
        kind=kind,
        name=name,
        n=int(pairs.n),
        before=pairs.before,
        after=pairs.after,
        low=low,
        high=high,
        p_drop=adjusted,
        state="inconclusive",
        kept=int(np.sum((before > 0) & (after >= before))),
        regressed=int(np.sum(after < before)),
        fixed=int(np.sum(after > before)),
        retention=skill_retention([SkillSample(before, after, min(pairs.n, pairs.effective))]),
    )


def skill_retention(samples: Sequence[SkillSample]) -> Retention | None:
    """Return the retention of *samples* together, or None if the rate before is too low."""
    total = sum(sample.weight for sample in samples)
    if not total:
        return None
    before = sum(sample.weight * sample.before.mean() for sample in samples) / total
    if before < _MIN_RATE_FOR_RETENTION:
        return None
    ratio = retention_ratio(samples, CONFIDENCE)
    if ratio is None:
        return None
    share, low, high = ratio
    return Retention(share, low, high if np.isfinite(high) else None)


# Kinds of loss ----------------------------------------------------------------------------------

#: The kind of loss that is typical of a narrow fine-tune.
FORMAT_LOSS = "fine-tune's format"
_CONTENT, _EMPTY, _REFUSAL = "wrong content", "empty", "refusal"
_LANGUAGE, _REPETITION = "other language", "repetition"
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

    def classify(self, before: CaseResult | None, after: CaseResult) -> str:
        """Return the kind of loss of the first reply of *after*."""
        if not after.replies:
            return _EMPTY
        reply, text = after.replies[0], after.replies[0].text.strip()
        old_text = before.replies[0].text.strip() if before and before.replies else ""
        if not text and reply.stop != "refusal":
            return _EMPTY
        is_refusal = looks_like_refusal(text) and not looks_like_refusal(old_text)
        if reply.stop == "refusal" or is_refusal:
            return _REFUSAL
        old_reply = replace(reply, text=old_text)
        if self._has_format(after.case, reply) and not self._has_format(after.case, old_reply):
            return FORMAT_LOSS
        if ends_in_loop(text) or _is_repetitive(text):
            return _REPETITION
        return _LANGUAGE if _is_other_language(text, old_text, after.case) else _CONTENT

    def count_kinds(
        self, before: VariantScores, after: VariantScores, regressed: Sequence[str], under: str = ""
    ) -> tuple[LossKind, ...]:
        """Return the kinds of loss of the cases *regressed*, most frequent first."""
        ids_by_kind = defaultdict[str, list[str]](list)
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
    if len(words) < _MIN_WORDS_FOR_REPETITION:
        return False
    return len(set(words)) * _REPETITIONS <= len(words)


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
    common = Counter(names).most_common(1)
    return common[0][0] if common else ""
