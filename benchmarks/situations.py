"""What `error_rates.py` simulates: gates of every kind, and the suites that they judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import draws as draw
from trials import Exact, Floor, Forgetting, Grouped, Looks, Plain, Sliced, Trial

from pytest_ftgate.gates.design import MOST_COMPARED, round_up_to_point
from pytest_ftgate.gates.power import build_power
from pytest_ftgate.stats.power import certifiable_margin

LIMITS, MINIMUMS = (0.03, 0.05, 0.10), (0.80, 0.90, 0.95)
#: Drops, in limits.
UNCHANGED, HALF, WHOLE, TWICE = 0.0, 0.5, 1.0, 2.0
#: Distances of the true rate from a minimum.
AT, ABOVE, BELOW = 0.0, 0.03, -0.10
TYPICAL, STEADY = 0.10, 0.05


def default_limit(n: int, disagreement: float = TYPICAL) -> float:
    """Return the default limit of a suite with one gate and a variant beside the baseline."""
    return round_up_to_point(certifiable_margin(n, disagreement, build_power(MOST_COMPARED)))


@dataclass(frozen=True, slots=True)
class Situation:
    """A gate and the suites that it judges.

    Attributes:
        topic: the table that it belongs to.
        name: its row in the table, which it may share with others.
        n: number of cases.
        trial: draws suites and judges them.
        limits: the limits, or minimums, of the gate.
        drops: the true drops, in limits; or the distances of the rate from the minimum.
        thin: the share of the replicates that are drawn, as one in so many.
        repeated: whether a case has several replies.
        checks: the drop checks that the gate counts as.
        parts: the slices or families that all bear the drop, each tested for one of its own.
        defaults: the limits that are the default ones.
    """

    topic: str
    name: str
    n: int
    trial: Trial
    limits: tuple[float, ...] = LIMITS
    drops: tuple[float, ...] = (UNCHANGED, HALF, WHOLE, TWICE)
    thin: int = 1
    repeated: bool = False
    checks: int = 1
    parts: int = 0
    defaults: tuple[float, ...] = ()

    def draws(self) -> dict[float, list[tuple[float, float]]]:
        """Return what the suites with one true drop are judged for: pairs of limit and drop."""
        found: dict[float, list[tuple[float, float]]] = {}
        for limit in sorted({*self.limits, *self.defaults}):
            for drop in self.drops:
                is_minimum = self.topic == "minimums"
                true = 1.0 - limit - drop if is_minimum else limit * drop
                if true >= 0.0:
                    found.setdefault(round(true, 6), []).append((limit, drop))
        return found


def binary() -> Iterator[Situation]:
    """Yield suites of one reply a case that is right or wrong."""
    for disagreement in (STEADY, TYPICAL, 0.16):
        for n in (20, 50, 100, 200, 500, 1000, 2000):
            known = disagreement in (STEADY, TYPICAL)
            default = (default_limit(n, disagreement),) if known else ()
            name = f"{disagreement:.0%} disagree"
            yield Situation("binary", name, n, Exact(n, disagreement), defaults=default)
    # Limits that few lost cases reach. Most of these numbers of cases are the first at which the
    # score test allows no loss, or one or two.
    name, limits = "all right, a share breaks", (0.01, 0.02, 0.03)
    for n in (106, 133, 147, 268, 299, 443, 602):
        yield Situation("binary", name, n, Exact(n, 0.0), limits=limits, drops=(WHOLE,))


def graded() -> Iterator[Situation]:
    """Yield suites of graded scores."""
    shapes = {
        "five fields": draw.fields,
        "similarity": draw.similarity,
        "judge, five grades": draw.judge,
        "all right, a share breaks": draw.breaks,
        "rare gains, small losses": draw.rare_gains,
    }
    for name, shape in shapes.items():
        for n in (50, 100, 200, 500):
            trial = Plain(partial(shape, n=n))
            yield Situation("graded", name, n, trial, defaults=(default_limit(n),))


def weights() -> Iterator[Situation]:
    """Yield suites in which the cases of the largest weight bear all of the drop."""
    for n, heavy, weight in ((200, 5, 10), (100, 10, 5), (200, 10, 5), (100, 5, 10), (200, 20, 5)):
        name, w = f"{heavy} of weight {weight}", (float(weight),) * heavy + (1.0,) * (n - heavy)
        noisy, still = (
            Plain(partial(draw.weighted, weights=w, disagreement=share), weights=w)
            for share in (TYPICAL, 0.0)
        )
        yield Situation("weights", name, n, noisy)
        yield Situation("weights", name, n, still, drops=(WHOLE,))


LAYOUTS = {
    "40 groups of 5": ((5,) * 40, ("anywhere",)),
    "200 groups of 5": ((5,) * 200, ("anywhere",)),
    "one of 20, 90 of 2": ((20,) + (2,) * 90, ("anywhere", "by size", "largest")),
    "one of 50, 225 of 2": ((50,) + (2,) * 225, ("anywhere", "by size", "largest")),
    "60 groups, 1 to 30": (draw.rising_sizes(60, 200), ("by size",)),
    "200 groups, 1 to 50": (draw.rising_sizes(200, 1000), ("by size",)),
}


def groups() -> Iterator[Situation]:
    """Yield suites of related cases, of which whole groups break."""
    for layout, (sizes, places) in LAYOUTS.items():
        for is_graded in (False, True):
            name = f"{layout}, {'graded' if is_graded else 'binary'}"
            make = partial(draw.grouped, sizes=sizes, whole=0.9 if is_graded else 1.0)
            for where in places:
                noisy = Grouped(partial(make, where=where), sizes)
                drops = (UNCHANGED, HALF, WHOLE, TWICE) if where == places[0] else (WHOLE,)
                yield Situation("groups", name, sum(sizes), noisy, drops=drops, thin=10)
                for noise, together in (("none", 1.0), ("by group", 1.0), ("none", 0.5)):
                    way = partial(make, where=where, noise=noise, together=together)
                    other = Grouped(way, sizes)
                    yield Situation("groups", name, sum(sizes), other, drops=(WHOLE,), thin=10)
    # Few large groups may all stay whole by chance, while single changes suggest that cases change
    # one by one.
    for count in (40, 60):
        sizes = (25,) * count
        large = Grouped(partial(draw.grouped, sizes=sizes), sizes)
        yield Situation("groups", f"{count} groups of 25", 25 * count, large, thin=10)


def repeats() -> Iterator[Situation]:
    """Yield suites with several replies a case."""
    for counts in ((5, 5), (10, 10), (10, 1)):
        each = f"{counts[0]} replies"
        name = each if counts[0] == counts[1] else f"{each} before, {counts[1]} after"
        for n in (50, 100, 200, 500):
            make = partial(draw.replied, n=n, repeats=counts)
            default = (default_limit(n),)
            trial = Plain(make, counts)
            yield Situation("repeats", name, n, trial, thin=2, repeated=True, defaults=default)
            for model in (draw.certain, draw.halved):
                other = Plain(partial(make, model=model), counts)
                yield Situation("repeats", name, n, other, drops=(WHOLE,), thin=2, repeated=True)


def looks() -> Iterator[Situation]:
    """Yield gates that may stop early, and gates that ask again while they are inconclusive."""
    for n in (100, 200, 500, 1000):
        trial = Looks(partial(draw.replied, n=n))
        # No default limit: these replies disagree on more cases than it assumes.
        yield Situation("looks", "stop_early", n, trial, thin=2)
        assumed = Looks(partial(draw.disagreeing, n=n, disagreement=TYPICAL))
        name, limit = f"stop_early, {TYPICAL:.0%} disagree", default_limit(n)
        drops = (UNCHANGED, HALF, WHOLE)
        yield Situation("looks", name, n, assumed, drops=drops, thin=2, defaults=(limit,))
        certain = Looks(partial(draw.replied, n=n, model=draw.certain))
        yield Situation("looks", "stop_early", n, certain, drops=(WHOLE,), thin=2)
    for name, shape in {"judge": draw.judge, "a share breaks": draw.breaks}.items():
        of_grades = Looks(partial(shape, n=200))
        yield Situation("looks", f"stop_early, graded: {name}", 200, of_grades, thin=2)
    for n in (100, 200, 500):
        trial = Looks(partial(draw.replied_often, n=n, replies=5))
        yield Situation("looks", "settle: 5", n, trial, thin=10, repeated=True)
        certain = Looks(partial(draw.replied_often, n=n, replies=5, model=draw.certain))
        yield Situation("looks", "settle: 5", n, certain, drops=(WHOLE,), thin=10, repeated=True)


def slices() -> Iterator[Situation]:
    """Yield gates with slices: all of them drop, or one alone, which is what passes then."""
    for count, size in ((5, 40), (10, 50), (10, 100)):
        make = partial(draw.replied, n=count * size)
        every, alone = Sliced(make, count), Sliced(make, count, alone=True)
        n, name = count * size, f"{count} of {size}"
        yield Situation("slices", name, n, every, thin=10, checks=2, parts=count)
        yield Situation("slices", f"{name}, one alone", size, alone, thin=10, checks=2)
    # Of these sizes a drop of 10 points is just shown: half of it fails most often.
    for count, size in ((3, 260), (6, 300), (10, 360)):
        make = partial(draw.disagreeing, n=count * size, disagreement=0.30)
        n, name = count * size, f"{count} of {size}, 30% disagree"
        trial = Sliced(make, count)
        yield Situation("slices", name, n, trial, limits=(0.10,), thin=10, checks=2, parts=count)


def forgetting() -> Iterator[Situation]:
    """Yield forgetting gates: the mean over skills, and families of 120 cases or more."""
    answers = partial(draw.replied, model=draw.tuned)
    of_14 = (partial(answers, n=14),) * 18
    unequal = tuple(partial(answers, n=n) for n in (4,) * 6 + (14,) * 6 + (24,) * 6)
    mixed = (partial(answers, n=14), partial(draw.fields, n=14)) * 9
    gates = {
        "18 skills of 14": Forgetting(of_14),
        "the same, half graded": Forgetting(mixed),
        "18 skills of 4, 14, 24": Forgetting(unequal),
        "the same, the small drop": Forgetting(unequal, bearing=6),
        "3 families of 140": Forgetting((partial(answers, n=14),) * 30, families=3),
    }
    for name, trial in gates.items():
        n = 420 if trial.families else 252
        yield Situation("forgetting", name, n, trial, thin=10, checks=2, parts=trial.families)


def minimums() -> Iterator[Situation]:
    """Yield gates with a minimum, on each kind of scores."""
    heavy = {n: (5.0,) * (n // 10) + (1.0,) * (n - n // 10) for n in (60, 200)}
    still = partial(draw.grouped, noise="none")
    kinds: list[tuple[str, int, Trial]] = [
        ("right or wrong", n, Floor(partial(draw.replied, n=n, model=draw.certain)))
        for n in (50, 100, 200, 500)
    ]
    for n in (50, 200):
        for model in (draw.certain, draw.unsure):
            make = partial(draw.replied, n=n, repeats=(5, 5), model=model)
            kinds.append(("5 replies", n, Floor(make, repeats=5)))
        kinds.append(("five fields", n, Floor(partial(draw.right_fields, n=n))))
        kinds.append(("graded, some at 0", n, Floor(partial(draw.breaks, n=n), draw.ALMOST)))
    for n, w in heavy.items():
        make = partial(draw.weighted, weights=w, disagreement=0.0)
        kinds.append(("a tenth of weight 5", n, Floor(make, weights=w)))
    for layout, (sizes, places) in LAYOUTS.items():
        for is_graded in (False, True):
            name = f"{layout}, {'graded' if is_graded else 'binary'}"
            for where in places:
                whole = 0.98 if is_graded else 1.0
                way = partial(still, sizes=sizes, where=where, whole=whole)
                kinds.append((name, sum(sizes), Floor(way, whole, sizes=sizes)))
    large = (10,) * 60
    kinds.append(("60 groups of 10, binary", 600, Floor(partial(still, sizes=large), sizes=large)))
    for name, n, trial in kinds:
        drops = (AT, ABOVE, BELOW)
        yield Situation("minimums", name, n, trial, limits=MINIMUMS, drops=drops, thin=10)


TOPICS: dict[str, Callable[[], Iterator[Situation]]] = {
    "binary": binary,
    "graded": graded,
    "weights": weights,
    "groups": groups,
    "repeats": repeats,
    "looks": looks,
    "slices": slices,
    "forgetting": forgetting,
    "minimums": minimums,
}
