"""The pictures of docs/statistics.md: each shows a rule on data that the rule itself judged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from drawings import Drawing
from numpy.typing import NDArray

from pytest_ftgate.gates.design import CONFIDENCE, MISS, Levels, round_up_to_point
from pytest_ftgate.gates.regressions import fall_names
from pytest_ftgate.reporting.number_text import points
from pytest_ftgate.reporting.phrases import FALLS
from pytest_ftgate.stats.bounded import BoundedValues
from pytest_ftgate.stats.differing import LabelledChanges
from pytest_ftgate.stats.paired import change_interval, p_drop, p_within, paired_counts
from pytest_ftgate.stats.power import certifiable_margin, pass_probability
from pytest_ftgate.stats.rates import mean_score, score_interval
from pytest_ftgate.stats.resampling import kappa_bounds
from pytest_ftgate.training.stop import stop_level

DOCS = Path(__file__).parent
#: The rows of the example: regressed, fixed and the verdict.
_ROW = re.compile(r"^\| (\d+) \| (\d+) \| [^|]+ \| in [^|]+ \| in [^|]+ \| (\w+):", re.MULTILINE)
_CASES = 200
#: How a part is drawn, by how surely it fell.
_FALL_KINDS = {"clearly": "failed", "perhaps": "inconclusive"}


def pictures() -> dict[str, str]:
    """Return the pictures by their files in docs/pictures."""
    made = {
        "verdicts": _verdicts(),
        "weighings": _weighings(),
        "minimum": _minimum(),
        "default-limit": _default_limit(),
        "groups": _groups(),
        "parts": _parts(),
        "forgetting": _forgetting(),
        "stop": _stop(),
        "cost": _cost(),
        "judges": _judges(),
        "labels": _labels(),
    }
    return {f"{name}.svg": str(drawing) for name, drawing in made.items()}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _points(change: float) -> str:
    return points(change / 100)


def _turned(regressed: int, fixed: int, n: int = _CASES) -> tuple[NDArray[np.float64], ...]:
    """Return the scores of cases before and after, of which so many regressed or were fixed."""
    before, after = np.ones(n), np.ones(n)
    before[:fixed] = 0
    after[n - regressed :] = 0
    return before, after


def _verdicts() -> Drawing:
    limit = 100 * round_up_to_point(certifiable_margin(_CASES, 0.10))
    title = f"Three changes with their 95 % intervals, and the limit of {limit:.0f} points"
    drawing = Drawing(title, -16, 6, 150)
    drawing.ticks(range(-15, 6, 5), _points)
    drawing.vertical("limit", -limit, "limit")
    page = (DOCS / "statistics.md").read_text("utf-8")
    for place, (regressed, fixed, verdict) in enumerate(_ROW.findall(page)):
        pairs = paired_counts(*_turned(int(regressed), int(fixed)))
        low, high = change_interval(pairs, CONFIDENCE)
        drawing.label(32 + 48 * place, verdict)
        drawing.interval(32 + 48 * place, (100 * low, 100 * high), 100 * pairs.delta, verdict)
    return drawing


def _weighings() -> Drawing:
    rng, limit = np.random.default_rng(2), 0.06
    changes = np.clip(rng.normal(-0.01, 0.15, 100), -1.0, 1.0).astype(np.float64)
    values = BoundedValues.of_cases(changes, np.ones(100), None, (-1.0, 1.0), 0.0)
    weights = rng.exponential(size=(20_000, 101))
    means = weights @ np.append(changes, -1.0) / weights.sum(axis=1)
    beyond = float(values.p_at_most(-limit))
    share = f"{100 * beyond:.1f} % of weighings reach the limit"
    title = f"100 graded cases, and one that lost everything: {share}"
    drawing = Drawing(title, -10, 4, 130)
    drawing.ticks(range(-10, 5, 2), _points)
    counts, ends = np.histogram(100 * means, bins=np.arange(-10, 4.5, 0.5))
    for count, low in zip(counts, ends, strict=False):
        kind = "failed" if low < -100 * limit else "plain"
        drawing.bar(kind, (low + 0.04, low + 0.46), 130 - 125 * count / counts.max(), 130)
    drawing.vertical("limit", -100 * limit, "limit")
    return drawing


def _minimum() -> Drawing:
    minimum = 0.90
    drawing = Drawing("Three rates of 200 cases, and a minimum of 90 %", 75, 100, 150)
    drawing.ticks(range(75, 101, 5), lambda share: f"{share:.0f} %")
    drawing.vertical("limit", 100 * minimum, "min")
    for place, right in enumerate((190, 184, 166)):
        rate = mean_score(np.arange(_CASES) < right)
        # One-sided levels: a bound of 95 % passes, one of 99 % fails.
        passed = score_interval(rate, 1 - 2 * MISS)[0] >= minimum
        failed = score_interval(rate, 1 - 2 * Levels().alarm)[1] < minimum
        kind = "passed" if passed else "failed" if failed else "inconclusive"
        low, high = score_interval(rate, CONFIDENCE)
        drawing.label(32 + 48 * place, kind)
        drawing.interval(32 + 48 * place, (100 * low, 100 * high), 100 * rate.rate, kind)
    return drawing


def _default_limit() -> Drawing:
    n, share, checks = 100, 0.10, 3
    needed = 1 - 0.10 / checks
    chosen = 100 * round_up_to_point(certifiable_margin(n, share, needed))
    title = f"How often one check of {n} cases passes an unchanged variant, by its limit"
    drawing = Drawing(title, 4, 16, 140)
    drawing.ticks(range(4, 17, 2), lambda limit: f"{limit:.0f}")

    def height(chance: float) -> float:
        """Return the place of a chance between a quarter and one."""
        return 140 * (1 - chance) / 0.75

    for place, kind in ((0.5, "grid"), (0.75, "grid"), (needed, "limit")):
        drawing.label(height(place), f"{100 * place:.3g} %")
        drawing.line(kind, [(4, height(place)), (16, height(place))])
    limits = np.arange(4, 16.01, 0.1)
    chances = [pass_probability(n, share, 0.0, limit / 100) for limit in limits]
    curve = [(at, height(chance)) for at, chance in zip(limits, chances, strict=True)]
    drawing.line("plain", curve)
    drawing.vertical("limit", chosen, f"the limit: {chosen:.0f} points")
    return drawing


def _groups() -> Drawing:
    groups, chance = 40, 0.05
    unseen = (1 - chance) ** groups
    title = f"100 runs of {groups} groups that each break with {_percent(chance)}: "
    drawing = Drawing(f"{title}{100 * unseen:.0f} see none broken", 0, 20, 110)
    for run in range(100):
        kind = "failed" if run < round(100 * unseen) else "plain"
        drawing.dot(12 + 21 * (run // 20), run % 20 + 0.5, kind, 7)
    return drawing


def _parts() -> Drawing:
    counts = {"arithmetic": (6, 8), "code": (9, 10), "facts": (12, 8), "format": (17, 6),
              "logic": (34, 8), "reading": (9, 9)}  # fmt: skip
    pairs = {name: paired_counts(*_turned(*turned, n=150)) for name, turned in counts.items()}
    drawing = Drawing("Six families of 150 cases, each with its 95 % interval", -28, 10, 190)
    drawing.ticks(range(-25, 11, 5), _points)
    drawing.vertical("limit", 0, "no change")
    falls = fall_names([p_drop(found) for found in pairs.values()], MISS)
    for place, ((name, found), fall) in enumerate(zip(pairs.items(), falls, strict=True)):
        low, high = change_interval(found, CONFIDENCE)
        kind = _FALL_KINDS.get(fall, "plain")
        drawing.label(18 + 30 * place, name)
        drawing.interval(18 + 30 * place, (100 * low, 100 * high), 100 * found.delta, kind)
        drawing.text(drawing.x(100 * high) + 10, 22 + 30 * place, FALLS.get(fall, ""))
    return drawing


def _stop() -> Drawing:
    limit, planned, lost = 10, 12, (10, 16, 24, 30, 42)
    drawing = Drawing(f"Five of {planned} checkpoints, 252 questions each", -22, 6, 160)
    drawing.ticks(range(-20, 6, 5), _points)
    drawing.vertical("limit", -limit, "limit")
    drawing.vertical("limit", -limit / 2, "half")
    for place, regressed in enumerate(lost):
        pairs = paired_counts(*_turned(regressed, 8, n=252))
        level = stop_level(place + 1, planned)
        kind = "failed" if p_within(pairs, limit / 200) <= level else "plain"
        low, high = change_interval(pairs, CONFIDENCE)
        drawing.label(18 + 31 * place, f"checkpoint {place + 1}")
        drawing.interval(18 + 31 * place, (100 * low, 100 * high), 100 * pairs.delta, kind)
        if kind == "failed":
            drawing.text(drawing.x(100 * high) + 10, 22 + 31 * place, "stopped")
    return drawing


def _cost() -> Drawing:
    rng = np.random.default_rng(4)
    prices = np.sort(rng.gamma(6.0, 0.4, 40))
    most = 12.0
    drawing = Drawing("40 prices, and one case as dear as max_tokens allows", 0, 43, 140)
    drawing.bar("added", (41.2, 41.9), 0, 140)
    drawing.label(0, "max_tokens")
    mean = 140 * (1 - float(prices.mean()) / most)
    drawing.label(mean, "mean")
    drawing.line("limit", [(0, mean), (43, mean)])
    for place, price in enumerate(prices):
        drawing.bar("plain", (place + 0.2, place + 0.9), 140 * (1 - price / most), 140)
    return drawing


def _shares(drawing: Drawing, y: int, shares: Iterable[float], kind: str = "plain") -> None:
    """Draw a bar that is divided into *shares* of the scale."""
    start = 0.0
    for share in shares:
        drawing.bar(kind, (start + 0.004, start + share - 0.004), y, y + 22)
        start += share


def _forgetting() -> Drawing:
    questions = np.array([60, 40, 28, 14, 14, 8])
    drawing = Drawing("Six skills: by their questions, and in the mean", 0, 1, 90)
    for y, label, shares in (
        (10, "questions", questions / questions.sum()),
        (54, "weight", np.full(6, 1 / 6)),
    ):
        drawing.label(y + 11, label)
        _shares(drawing, y, shares)
    return drawing


def _judges() -> Drawing:
    rng, people = np.random.default_rng(9), np.arange(120) % 2
    minimum = 0.4
    drawing = Drawing("Cohen's kappa of three judges with 120 labels, and a minimum", 0, 1, 150)
    drawing.ticks((0, 0.2, 0.4, 0.6, 0.8, 1), lambda kappa: f"{kappa:g}")
    drawing.vertical("limit", minimum, "minimum")
    for place, wrong in enumerate((0.06, 0.18, 0.30)):
        grades = np.where(rng.random(120) < wrong, 1 - people, people)
        found = kappa_bounds(people, grades, 2)
        kind = "passed" if found.lower >= minimum else "inconclusive"
        drawing.label(32 + 48 * place, "may gate" if kind == "passed" else "may not gate")
        drawing.interval(32 + 48 * place, (found.lower, found.upper), found.estimate, kind)
    return drawing


def _labels() -> Drawing:
    rng, n, differing, limit = np.random.default_rng(14), 1_000, 50, 2
    drawn = rng.permutation(np.repeat([-1.0, 0.0, 1.0], [17, 17, 16]))
    title = f"{n:,} inputs, {differing} of which differ: the change, by the labels of these"
    drawing = Drawing(title, -6, 6, 150)
    drawing.ticks(range(-6, 7, 2), _points)
    drawing.vertical("limit", -limit, "limit")
    for place, labels in enumerate((10, 25, differing)):
        found = LabelledChanges(
            tied=np.ones(n - differing),
            sampled=drawn[:labels],
            sampled_sizes=np.ones(labels),
            unlabelled=np.ones(differing - labels),
        )
        low, high = found.interval(CONFIDENCE)
        kind = "passed" if found.p_noninferior(limit / 100) <= MISS else "inconclusive"
        drawing.label(32 + 48 * place, f"{labels} labels")
        drawing.interval(32 + 48 * place, (100 * low, 100 * high), 100 * found.change, kind)
    return drawing
