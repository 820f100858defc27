"""Few tasks with many runs each, as of agents: what the runs show, and of which tasks.

There are two claims. *These tasks* are fixed, and their runs are the sample: a poll of twelve rooms
shows how those rooms think. *Tasks like these* have the tasks as the sample, which then stand for
others; five tasks show little of a sixth, however often they run. Those are compared as any cases
with repeats (`paired.paired_counts`). Either claim makes the values that the tests of
`stats.paired` and `stats.rates` take.

Of these tasks each run is taken as if it had one of the other side beside it. Which one is chance,
so the counts are those of all ways to pair them, on average. Changes that differ from task to task
then count as chance too, which is careful. A drop is shown by the exact permutation of the runs
within each task.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log, log1p
from typing import TYPE_CHECKING

import numpy as np

from pytest_ftgate.stats.bounded import BoundedValues
from pytest_ftgate.stats.paired import PairedCounts
from pytest_ftgate.stats.power import certifiable_margin, graded_certifiable_margin
from pytest_ftgate.stats.proportions import log_choose
from pytest_ftgate.stats.rates import MeanScore, mean_score

if TYPE_CHECKING:
    from pytest_ftgate.stats.proportions import Array

#: Fewer tasks show nothing, not even of themselves: one that breaks is a third of all.
FEWEST_TASKS = 3
#: A variance needs two runs.
_FEWEST_RUNS = 2


@dataclass(frozen=True, slots=True, eq=False)
class TaskRuns:
    """The rewards of the runs of each task by one agent; each task weighs the same.

    Attributes:
        rewards: the reward of each run in the order of the requests, 0 to 1, shape (tasks, runs).
            A task with fewer runs has NaN in the other places.

    Raises:
        ValueError: fewer than three tasks, a task without a run, or a reward outside 0 to 1.
    """

    rewards: Array

    def __post_init__(self) -> None:
        """Check the rewards."""
        if self.rewards.ndim != 2 or len(self.rewards) < FEWEST_TASKS:  # noqa: PLR2004 - axes
            raise ValueError(f"runs of at least {FEWEST_TASKS} tasks are needed, one row a task")
        if not np.all(self.runs):
            raise ValueError("every task needs a run")
        if not np.all((self._seen >= 0.0) & (self._seen <= 1.0)):
            raise ValueError("rewards must lie between 0 and 1")

    @property
    def runs(self) -> Array:
        """The number of runs of each task, shape (tasks,)."""
        return np.asarray(np.count_nonzero(~np.isnan(self.rewards), axis=1), np.float64)

    @property
    def sums(self) -> Array:
        """The sum of the rewards of each task, shape (tasks,)."""
        return np.asarray(np.nansum(self.rewards, axis=1), np.float64)

    @property
    def means(self) -> Array:
        """The mean reward of each task, shape (tasks,): pass@1 of right or wrong runs."""
        return np.asarray(self.sums / self.runs)

    def first_sums(self, k: int) -> Array:
        """Return the sum of the first *k* rewards of each task; all tasks need as many runs."""
        return np.asarray(self._seen.reshape(len(self.rewards), -1)[:, :k].sum(axis=1))

    @property
    def is_counted(self) -> bool:
        """True if every run is right or wrong."""
        return bool(np.all((self._seen == 0.0) | (self._seen == 1.0)))

    @property
    def disagreement(self) -> float:
        """How often two runs of one task differ; of graded rewards the mean squared difference.

        It is twice the variance within a task, over the tasks with two runs or more, and 0 if there
        is none.
        """
        repeated = self.runs >= _FEWEST_RUNS
        if not np.any(repeated):
            return 0.0
        variances: Array = np.nanvar(self.rewards[repeated], axis=1, ddof=1)
        return 2.0 * float(np.mean(variances))

    def pass_rates(self, k: int) -> Array:
        """Return the unbiased estimate of pass^k of each task: that k runs are right, all of them.

        With s right of n runs it is C(s, k) / C(n, k); shape (tasks,).

        Raises:
            ValueError: a reward is graded, or a task has fewer than *k* runs.
        """
        if not self.is_counted or not 1 <= k <= self.runs.min():
            raise ValueError(f"pass^{k} needs {k} runs of each task, all right or wrong")
        right, runs = self.sums, self.runs
        chosen = log_choose(np.maximum(right, k), float(k)) - log_choose(runs, float(k))
        return np.where(right >= k, np.exp(chosen), 0.0)

    @property
    def _seen(self) -> Array:
        return np.asarray(self.rewards[~np.isnan(self.rewards)], np.float64)


# Comparisons --------------------------------------------------------------------------------------


def these_tasks(before: TaskRuns, after: TaskRuns) -> PairedCounts:
    """Return the comparison of two agents on these tasks, whose runs are the sample.

    Tests and intervals are those of `stats.paired`. With runs that are right or wrong, as many for
    each task, they count: n is tasks times the runs of the side with fewer, since a loss that was
    not drawn hides behind those, however often the other side ran. As many of its first runs enter
    the permutation: with more of them few failures would do, and half of a limit fail too often.
    Otherwise every run is compared with every run of the other side, by `bounded.p_mean`.

    Args:
        before: the runs of the baseline.
        after: the runs of the candidate, of the same tasks in the same order.
    """
    fewer = np.minimum(before.runs, after.runs)
    equal = np.ptp(before.runs) == np.ptp(after.runs) == 0.0
    if not (equal and before.is_counted and after.is_counted):
        return _compared_runs(before, after, fewer)
    b, c, n = before.means, after.means, float(np.sum(fewer))
    first = (before.first_sums(int(fewer[0])), after.first_sums(int(fewer[0])))
    return PairedCounts(
        n=n,
        delta=float(np.mean(c - b)),
        fixed=float(fewer @ ((1.0 - b) * c)),
        regressed=float(fewer @ (b * (1.0 - c))),
        effective=n,
        before=float(np.mean(b)),
        after=float(np.mean(c)),
        permuted=p_permuted(*first, fewer, fewer),
        noise=(before.disagreement + after.disagreement) / 2.0 if fewer[0] > 1 else None,
    )


def p_permuted(
    before_right: Array, after_right: Array, before_runs: Array, after_runs: Array
) -> float:
    """Return the mid-p-value of "nothing changed in any task" against a drop; all shapes (tasks,).

    Given how many runs of a task are right on both sides together, those of the candidate follow a
    hypergeometric distribution if it is unchanged; their sum over the tasks has the convolution of
    them. This is the exact conditional test of Cochran, Mantel and Haenszel (Mantel & Haenszel
    1959, JNCI 22:719-748). It is 0.5 where no run could have gone otherwise.
    """
    chances, least = np.ones(1), 0.0
    for right, drawn, n in zip(
        before_right + after_right, after_runs, before_runs + after_runs, strict=True
    ):
        chances = np.convolve(chances, _hypergeometric(right, drawn, n))
        least += max(0.0, right + drawn - n)
    seen = round(float(np.sum(after_right)) - least)
    return float(min(1.0, np.sum(chances[:seen]) + chances[seen] / 2.0))


@lru_cache(maxsize=4096)
def _hypergeometric(marked: float, drawn: float, n: float) -> Array:
    """Return the chance of each possible number of *marked* among the *drawn* of n, from the least.

    The import of `scipy.stats` takes a second.
    """
    counts = np.arange(max(0.0, marked + drawn - n), min(marked, drawn) + 1.0)
    ways = log_choose(marked, counts) + log_choose(n - marked, drawn - counts)
    return np.asarray(np.exp(ways - log_choose(n, drawn)))


def _compared_runs(before: TaskRuns, after: TaskRuns, fewer: Array) -> PairedCounts:
    """Return the comparison of every run with each of the other side; they weigh *fewer* runs."""
    changes = after.rewards[:, None, :] - before.rewards[:, :, None]
    size, count = np.mean(fewer) / fewer, fewer / (before.runs * after.runs)
    seen = ~np.isnan(changes)
    rows = np.nonzero(seen)[0]
    # Few differences are distinct, unless rewards are fine; two numbers sort fast as one complex.
    keys, places = np.unique(changes[seen] + 1j * size[rows], return_inverse=True)
    counts = np.bincount(places, count[rows]).astype(np.float64)
    n, delta, sizes = float(np.sum(counts)), float(np.mean(after.means - before.means)), keys.imag
    return PairedCounts(
        n=n,
        delta=delta,
        fixed=float(np.sum(counts[keys.real > 0.0])),
        regressed=float(np.sum(counts[keys.real < 0.0])),
        effective=n,
        countable=False,
        spread=_spread(keys.real - delta, sizes, counts),
        before=float(np.mean(before.means)),
        after=float(np.mean(after.means)),
        changes=BoundedValues(sizes * keys.real, sizes, -1.0, 1.0, counts=counts),
    )


def _spread(residuals: Array, sizes: Array, counts: Array) -> float:
    return float(counts @ (sizes * residuals) ** 2) / max(float(np.sum(counts)) - 1.0, 1.0)


# Rates --------------------------------------------------------------------------------------------


def score_of_these(runs: TaskRuns, k: int = 1) -> MeanScore:
    """Return the mean reward of these tasks, or their pass^k, for `rates.score_interval`.

    Runs are the sample. With the same number of runs for each task the interval is that of Clopper
    and Pearson for all runs together. It is wide enough, since unlike tasks vary less in sum than
    equal ones (Hoeffding 1956, Ann. Math. Statist. 27:713-721). For pass^k a task
    counts as many units as it has disjoint blocks of k runs.

    Raises:
        ValueError: see `TaskRuns.pass_rates`.
    """
    units = runs.runs if k == 1 else runs.runs // k
    sizes = np.mean(units) / units
    if runs.is_counted:
        rates = runs.means if k == 1 else runs.pass_rates(k)
        values = np.repeat([1.0, 0.0], rates.size)
        sizes, counts = np.tile(sizes, 2), np.concatenate([rates * units, (1.0 - rates) * units])
    else:
        seen = ~np.isnan(runs.rewards)
        rates, values, sizes = runs.means, runs.rewards[seen], sizes[np.nonzero(seen)[0]]
        counts = np.ones(values.size)
    rate = float(np.mean(rates))
    return MeanScore(
        n=int(np.sum(units)),
        rate=rate,
        countable=False,
        spread=_spread(values - rate, sizes, counts),
        values=BoundedValues(sizes * values, sizes, 0.0, 1.0, counts=counts),
    )


def score_of_tasks_like_these(runs: TaskRuns, k: int = 1) -> MeanScore:
    """Return the mean reward of tasks like these, or their pass^k; the tasks are the sample.

    Raises:
        ValueError: see `TaskRuns.pass_rates`.
    """
    return mean_score(runs.means if k == 1 else runs.pass_rates(k))


# Plans --------------------------------------------------------------------------------------------


def smallest_shown_drop(units: float, alpha: float = 0.05) -> float:
    """Return the smallest drop that so many tasks, or runs of these tasks, can rule out.

    It is the drop m of which (1 - m)^units of samples show nothing at all.
    """
    return float(1.0 - alpha ** (1.0 / units))


def runs_needed(tasks: int, margin: float, alpha: float = 0.05) -> int:
    """Return how many runs of each task can rule out a drop of *margin* on these tasks."""
    # A number of runs that is just enough must not be one more by rounding.
    return ceil(log(alpha) / log1p(-margin) / tasks - 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlan:
    """What so many runs of these tasks can show of an agent.

    Attributes:
        tasks: the number of tasks.
        runs: the numbers of runs of each task, of the baseline and of the candidate.
        disagreement: how often two runs of one task differ; see `TaskRuns.disagreement`.
        is_graded: True if a run may be right in part.
        miss: the level of a pass.
    """

    tasks: int
    runs: tuple[int, int]
    disagreement: float
    is_graded: bool = False
    miss: float = 0.05

    @property
    def pairs(self) -> float:
        """The number of runs as the test of these tasks counts them."""
        return float(self.tasks * min(self.runs))

    def limit(self, power: float = 0.9) -> float:
        """Return the smallest limit that an unchanged agent passes on these tasks; 1 for none."""
        if self.is_graded:
            return min(1.0, graded_certifiable_margin(self._unchanged(), power, self.miss))
        try:
            return certifiable_margin(self.pairs, self.disagreement, power, self.miss)
        except ValueError:
            return 1.0

    def _unchanged(self) -> PairedCounts:
        """Return the comparison of an unchanged agent, in the mean."""
        n = self.pairs
        values = BoundedValues(np.zeros(1), np.ones(1), -1.0, 1.0, counts=np.array([n]))
        return PairedCounts(
            n=n, delta=0.0, fixed=0.0, regressed=0.0, effective=n, countable=False,
            spread=self.disagreement, before=0.5, after=0.5, changes=values,
        )  # fmt: skip
