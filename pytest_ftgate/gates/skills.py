"""Results by skill, difficulty and language, and the ways in which answers were lost."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.checks import paired
from pytest_ftgate.gates.levels import CONFIDENCE, FEWEST_GROUPS, Levels
from pytest_ftgate.gates.samples import Side, aligned, valued
from pytest_ftgate.gates.slices import members
from pytest_ftgate.gates.verdict import LossKind, Retention, Slice
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.formats import Forms, can_tell, language_of, loops, refuses
from pytest_ftgate.scoring.scores import Column, Row, worth
from pytest_ftgate.stats.paired import Pairs, holm, p_drop, p_noninferior, tango_interval
from pytest_ftgate.stats.resampling import Part, macro_difference, ratio
from pytest_ftgate.suite.model import Case, ForgettingGate, Suite

__all__ = [
    "FORMAT",
    "KEPT_WITHIN",
    "Losses",
    "by_worth",
    "kept",
    "labels_of",
    "macro",
    "skill_slices",
    "states",
    "worths",
]

#: A skill without a margin of its own is called kept where a loss of this size is ruled out.
KEPT_WITHIN = 0.10
#: Of a part that was below this rate no share is told: it would be the ratio of two accidents.
_TOO_LITTLE = 0.10


def by_worth(column: Column) -> Side:
    """Return what each skills case of *column* is worth: right, and in the form it asks for."""
    found = (worths(row) for row in column.rows.values())
    values = np.array([np.mean(own) if own else np.nan for own in found], dtype=np.float64)
    return valued(column, values).where(column.weights > 0)


def worths(row: Row) -> list[float]:
    """Return what each reply to one skills case is worth."""
    pairs = zip(row.replies, row.scores, strict=True)
    return [worth(row.case, reply, score) for reply, score in pairs]


def macro(gate: ForgettingGate, pairs: Mapping[str, Pairs]) -> Pairs:
    """Return the pairs of the skills as one: the mean of their changes by the gate's weights."""
    weighed = {skill: own for skill, own in pairs.items() if gate.weight(skill)}
    return macro_difference([*weighed.values()], [gate.weight(skill) for skill in weighed])


def states(gate: ForgettingGate, pairs: Mapping[str, Pairs], levels: Levels) -> dict[str, str]:
    """Return what is shown of each skill: ``kept``, ``lost``, ``open`` or ``blind``.

    Kept where a loss of its margin is ruled out; else lost where there really is one, Holm's
    correction over the judged skills counted in.
    """
    adjusted = _adjusted({skill: own for skill, own in pairs.items() if gate.judges(skill)})
    return {
        skill: _state(own, adjusted.get(skill, p_drop(own)), _margin(gate, skill), levels)
        for skill, own in pairs.items()
    }


def _adjusted(pairs: Mapping[str, Pairs]) -> dict[str, float]:
    corrected = holm([p_drop(own) for own in pairs.values()])
    return {name: float(p) for name, p in zip(pairs, corrected, strict=True)}


def _margin(gate: ForgettingGate, skill: str) -> float:
    return gate.required(skill) or KEPT_WITHIN


def _state(pairs: Pairs, adjusted: float, margin: float, levels: Levels) -> str:
    if pairs.before <= margin:
        return "blind"
    if pairs.groups is not None and pairs.groups < FEWEST_GROUPS:
        return "open"
    if p_noninferior(pairs, margin) <= levels.miss:
        return "kept"
    return "lost" if adjusted <= levels.alarm else "open"


def skill_slices(
    before: Side, after: Side, cases: Sequence[Case], gate: ForgettingGate, levels: Levels
) -> tuple[Slice, ...]:
    """Return what became of each skill, the greatest loss first; then by difficulty and language.

    Args:
        before: what the base is worth on the skills cases.
        after: the variant.
        cases: the skills cases.
        gate: the gate, for its margins.
        levels: the risks, the alarm shared by all skills.
    """
    before, after = aligned(before, after)
    known = before.known & after.known
    before, after = before.where(known), after.where(known)
    told = [*_skills(before, after, cases, gate, levels)]
    for kind in ("difficulty", "language"):
        told += _others(before, after, cases, kind, levels)
    return tuple(told)


def _skills(
    before: Side, after: Side, cases: Sequence[Case], gate: ForgettingGate, levels: Levels
) -> list[Slice]:
    chosen = _parts(before, after, cases, "skill")
    pairs = {skill: paired(*sides) for skill, sides in chosen.items()}
    found, adjusted = states(gate, pairs, levels), _adjusted(pairs)
    made = [
        replace(
            _slice("skill", skill, chosen[skill], own, adjusted[skill]),
            state=found[skill],
            judged=gate.judges(skill),
            margin=_margin(gate, skill),
            required=gate.required(skill) is not None,
            weight=gate.weight(skill),
        )
        for skill, own in pairs.items()
    ]
    return sorted(made, key=lambda one: one.change)


def _others(
    before: Side, after: Side, cases: Sequence[Case], kind: str, levels: Levels
) -> Iterator[Slice]:
    """Yield parts that cut across the skills: shown, and judged by nothing."""
    chosen = _parts(before, after, cases, kind)
    pairs = {name: paired(*sides) for name, sides in chosen.items()}
    adjusted = _adjusted(pairs)
    for name, own in sorted(pairs.items()):
        made = _slice(kind, name, chosen[name], own, adjusted[name])
        state = _state(own, adjusted[name], KEPT_WITHIN, levels)
        yield replace(made, state=state, judged=False, margin=KEPT_WITHIN, weight=0.0)


def _parts(
    before: Side, after: Side, cases: Sequence[Case], kind: str
) -> dict[str, tuple[Side, Side]]:
    found = {}
    for (_, name), own in members(cases, [kind]).items():
        mask = np.array([key in own for key in after.keys], dtype=bool)
        if mask.any():
            found[name] = (before.where(mask), after.where(mask))
    return found


def _slice(kind: str, name: str, sides: tuple[Side, Side], pairs: Pairs, adjusted: float) -> Slice:
    low, high = tango_interval(pairs, CONFIDENCE)
    was, now = sides[0].values, sides[1].values
    return Slice(
        kind=kind,
        name=name,
        n=int(pairs.n),
        before=pairs.before,
        after=pairs.after,
        low=low,
        high=high,
        p_drop=adjusted,
        state="open",
        kept=int(np.sum((was > 0) & (now >= was))),
        lost=int(np.sum(now < was)),
        gained=int(np.sum(now > was)),
        retention=kept([Part(was, now, min(pairs.n, pairs.effective))]),
    )


def kept(parts: Sequence[Part]) -> Retention | None:
    """Return how much is left of *parts* together, where enough was there to be told of."""
    whole = sum(part.weight for part in parts)
    if not whole or sum(p.weight * p.before.mean() for p in parts) / whole < _TOO_LITTLE:
        return None
    found = ratio(parts, CONFIDENCE)
    if found is None:
        return None
    share, low, high = found
    return Retention(share, low, high if np.isfinite(high) else None)


#: The kind that marks a narrow fine-tune.
FORMAT = "fine-tune's format"
_CONTENT, _EMPTY, _REFUSAL = "wrong content", "empty", "refusal"
_LANGUAGE, _REPETITION = "other language", "repetition"
#: From so many words on a text is said to repeat itself, or to be in some language.
_REPEATED, _TELLING = 6, 4
#: How often a word stands in a text that says little else.
_OVER_AGAIN = 4
_EXAMPLES = 5
_INVENTED = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")
#: How replies of a structured format begin.
_BEGINS = {"json_schema": "{[", "pydantic": "{[", "xml": "<"}


def labels_of(suite: Suite) -> tuple[str, ...]:
    """Return the labels that the suite's replies are held to."""
    return tuple(label for r in suite.reply.format if r.kind == "choice" for label in r.value)


class Losses:
    """Tells of lost answers how they went wrong; what the suite's own format needs is made once.

    Args:
        suite: whose format a fine-tune may have learned to answer everything in.
    """

    def __init__(self, suite: Suite) -> None:
        own = ("python", "tool_call")
        self._rules = tuple(rule for rule in suite.reply.format if rule.kind not in own)
        self._labels, self._folder = labels_of(suite), suite.path.parent
        self._forms = Forms(self._folder)

    def kind(self, before: Row | None, now: Row) -> str:
        """Return the way in which the first reply of *now* went wrong."""
        if not now.replies:
            return _EMPTY
        reply, text = now.replies[0], now.replies[0].text.strip()
        was = before.replies[0].text.strip() if before and before.replies else ""
        if not text and reply.stop != "refusal":
            return _EMPTY
        if reply.stop == "refusal" or (refuses(text) and not refuses(was)):
            return _REFUSAL
        if self._tuned(now.case, reply) and not self._tuned(now.case, replace(reply, text=was)):
            return FORMAT
        if loops(text) or _says_little(text):
            return _REPETITION
        return _LANGUAGE if _strange(text, was, now.case) else _CONTENT

    def count(
        self, before: Column, after: Column, lost: Sequence[str], under: str = ""
    ) -> tuple[LossKind, ...]:
        """Return the kinds of the cases *lost*, the commonest first."""
        found = defaultdict[str, list[str]](list)
        for key in lost:
            found[self.kind(before.rows.get(key), after.rows[key])].append(key)
        ranked = sorted(found.items(), key=lambda one: -len(one[1]))
        return tuple(
            LossKind(
                kind=kind,
                cases=len(ids),
                share=len(ids) / len(lost),
                examples=tuple(ids[:_EXAMPLES]),
                under=under,
            )
            for kind, ids in ranked
        )

    def _tuned(self, case: Case, reply: Reply) -> bool:
        """Tell whether *reply* has the form that the suite asks of its own replies, or its shape.

        A narrow model invents labels for what it was never asked, such as ``japan_capital``.
        """
        text = reply.text.strip()
        if not text or not self._rules:
            return False
        if text in self._labels or (_joint(self._labels) and _INVENTED.fullmatch(text)):
            return True
        if any(text[0] in _BEGINS[rule.kind] for rule in self._rules if rule.kind in _BEGINS):
            return True
        return self._holds(replace(case, format=self._rules, folder=self._folder), reply)

    def _holds(self, case: Case, reply: Reply) -> bool:
        try:
            return self._forms.broken(case, reply) is None
        except FtgateError:
            # A rule that breaks on a reply to another question says nothing about it.
            return False


def _joint(labels: Iterable[str]) -> bool:
    return any("_" in label for label in labels)


def _says_little(text: str) -> bool:
    words = text.casefold().split()
    return len(words) >= _REPEATED and len(set(words)) * _OVER_AGAIN <= len(words)


def _strange(text: str, was: str, case: Case) -> bool:
    """Tell whether *text* is in a language that neither the case nor the earlier reply is in."""
    scripts = [_script(one) for one in (text, was)]
    if all(scripts) and scripts[0] != scripts[1]:
        return True
    if not can_tell() or len(text.split()) < _TELLING:
        return False
    now = language_of(text)
    return now not in ("", "zxx", case.language, language_of(was), language_of(case.shown))


def _script(text: str) -> str:
    """Return the script that most letters of *text* are of, such as ``LATIN``; "" for none."""
    names = (unicodedata.name(c, "").partition(" ")[0] for c in text if c.isalpha())
    common = Counter(names).most_common(1)
    return common[0][0] if common else ""
