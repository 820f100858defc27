"""How often an unchanged agent fails a build: pairs made of the runs of one agent (A/A).

    git clone --depth 1 https://github.com/laude-institute/terminal-bench-leaderboard
    python benchmarks/agents_aa.py terminal-bench-leaderboard [--seed S]

Each folder ``results/*/*`` is a submission to the leaderboard of Terminal-Bench 1: one agent, with
several runs of each task. Both sides of a pair are disjoint runs of the same agent, so that every
red build is a false alarm. All pairs are made, in both directions, with as many runs a side as
there are for two sides. Pairs share runs, so they are far from independent: the shares describe
these agents, and have no error of their own.

All rules see the same pairs. *Any drop* and *5 points or more* look at the difference of the means
alone, over the tasks that both sides have. *As it is* are verdicts of `pytest_ftgate.compare` with
its default limit: more than 5 % of missing runs leave them inconclusive. Then missing runs are left
out, as if they had been run again, with limits of 15 and 5 points; the second side is also made
worse, as runs that succeeded fail at random until its mean is 20 points lower or it is 0. Those
verdicts are of the statistics behind `compare`, which both judge one pair of each agent.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import chain, combinations, repeat
from pathlib import Path
from typing import Self

import numpy as np

from pytest_ftgate import compare
from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.checks import drop_outcome
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.readers.answer_rows import Columns
from pytest_ftgate.readers.answers import read_answers
from pytest_ftgate.reporting.markdown import markdown_table
from pytest_ftgate.reporting.tables import TextTable
from pytest_ftgate.stats.paired import paired_counts
from pytest_ftgate.stats.tasks import TaskRuns, these_tasks
from pytest_ftgate.suite.gate_kinds import CLAIMS, THESE_TASKS

#: The limit of the plain rule, and the drop that is planted; shares.
PLAIN_LIMIT, PLANTED = 0.05, 0.20
#: The limits with missing runs left out: the coarsest default of `compare`, and the plain rule's.
LIMITS = (0.15, PLAIN_LIMIT)
ROUNDING = 1e-9
#: What the name of a submission begins with.
DATE = re.compile(r"\d{8}_")
#: By task, the reward of each run; None of a run that says nothing about the agent.
Runs = Mapping[str, Sequence[float | None]]
WORDS = {claim: claim.replace("_", " ") for claim in CLAIMS}


# Submissions --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Agent:
    """One submission: an agent with several runs of each task."""

    name: str
    rewards: Runs

    @property
    def runs(self) -> int:
        """The number of runs that every task has, graded or not."""
        return min(map(len, self.rewards.values()))

    @property
    def missing(self) -> int:
        """The number of runs that say nothing about the agent."""
        return sum(reward is None for reward in chain.from_iterable(self.rewards.values()))

    def side(self, chosen: Sequence[int]) -> Runs:
        """Return the *chosen* runs of each task."""
        return {task: [runs[i] for i in chosen] for task, runs in self.rewards.items()}


def agents_in(folder: Path) -> Iterator[Agent | str]:
    """Yield the agents in a clone of the leaderboard, or why one of them is left out."""
    for path in sorted(folder.glob("results/*/*")):
        if not path.is_dir():
            continue
        name = DATE.sub("", path.name).replace("_", " ")
        try:
            rows = read_answers(path, Columns(scores=True)).rows
        except FtgateError as error:
            reason = str(error).removeprefix(f"{path} ").partition(";")[0]
            yield f"{name} is left out: {reason}"
            continue
        rewards: dict[str, list[float | None]] = {}
        for row in rows:
            rewards.setdefault(row.id, []).append(row.score)
        agent = Agent(name, rewards)
        yield agent if agent.runs > 1 else f"{name} is left out: a task has one run"


def splits(runs: int, size: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield every two disjoint choices of so many of the *runs*, in both directions."""
    for before in combinations(range(runs), size):
        others = [run for run in range(runs) if run not in before]
        yield from ((before, after) for after in combinations(others, size))


def made_worse(rng: np.random.Generator, side: Runs) -> Runs:
    """Return *side* after runs that succeeded fail at random, to a mean `PLANTED` lower."""
    means = [
        np.mean(seen) for runs in side.values() if (seen := [r for r in runs if r is not None])
    ]
    kept = max(0.0, 1.0 - PLANTED / max(float(np.mean(means)), ROUNDING))
    return {
        task: [run and run * float(rng.random() < kept) for run in runs]
        for task, runs in side.items()
    }


# Verdicts -----------------------------------------------------------------------------------------


def compared(before: Runs, after: Runs, claim: str, limit: float | None = None) -> Outcome:
    """Return the outcome of `compare` on two sides."""
    sides = (
        [{"id": task, "score": run} for task, runs in side.items() for run in runs]
        for side in (before, after)
    )
    return compare(*sides, claim=claim, max_drop=limit).outcome


def graded(before: Runs, after: Runs) -> tuple[Runs, Runs]:
    """Return both sides without missing runs, and without tasks that one of them lacks then."""
    first, second = (
        {task: [run for run in runs if run is not None] for task, runs in side.items()}
        for side in (before, after)
    )
    tasks = [task for task in first if first[task] and second[task]]
    return {task: first[task] for task in tasks}, {task: second[task] for task in tasks}


def judged(before: Runs, after: Runs, claim: str, limit: float) -> Outcome:
    """Return the outcome of the statistics on two sides without missing runs."""
    first, second = map(task_runs, (before, after))
    if claim == THESE_TASKS:
        pairs = these_tasks(first, second)
    else:
        repeats = {"before_repeats": first.runs, "after_repeats": second.runs}
        pairs = paired_counts(first.means, second.means, **repeats)
    return drop_outcome(pairs, limit, Levels())


def task_runs(side: Runs) -> TaskRuns:
    """Return *side* as the statistics take it, each task filled up with NaN."""
    most = max(map(len, side.values()))
    return TaskRuns(np.array([[*runs, *[np.nan] * (most - len(runs))] for runs in side.values()]))


def drop_of(before: Runs, after: Runs) -> float:
    """Return by how much the mean over the tasks drops, without missing runs; a share."""
    first, second = map(task_runs, graded(before, after))
    return float(np.mean(first.means - second.means))


class Tally:
    """What the rules say of many pairs."""

    def __init__(self) -> None:
        """Start with no pairs."""
        self.pairs, self.counts = 0, Counter[str]()

    def add(self, before: Runs, after: Runs, rng: np.random.Generator) -> None:
        """Judge one pair, and the same pair with a worse second side."""
        sides, drop = graded(before, after), drop_of(before, after)
        worse = made_worse(rng, sides[1])
        self.counts["any"] += drop > ROUNDING
        self.counts["plain"] += drop > PLAIN_LIMIT - ROUNDING
        for claim in CLAIMS:
            self.counts[f"{claim} as it is {compared(before, after, claim).value}"] += 1
            found = [(f"{limit:g}", sides[1], limit) for limit in LIMITS]
            for name, second, limit in (*found, ("worse", worse, LIMITS[0])):
                outcome = judged(sides[0], second, claim, limit)
                self.counts[f"{claim} {name} {outcome.value}"] += 1
                # One pair of each agent is enough to see that both are the same rule.
                if not self.pairs:
                    self.counts["both"] += 1
                    self.counts["agree"] += outcome is compared(sides[0], second, claim, limit)
        self.pairs += 1

    def plain(self) -> list[str]:
        """Return the number of pairs, and the shares of the plain rules."""
        return [f"{self.pairs:,}", self.share("any"), self.share("plain")]

    def verdicts(self, claim: str, name: str) -> list[str]:
        """Return the shares that fail, and that are inconclusive."""
        outcomes = (Outcome.FAILED, Outcome.INCONCLUSIVE)
        return [self.share(f"{claim} {name} {outcome.value}") for outcome in outcomes]

    def share(self, counted: str) -> str:
        """Return a share of the pairs in per cent."""
        return f"{100 * self.counts[counted] / self.pairs:.1f}"

    def __iadd__(self, other: Tally) -> Self:
        """Add the pairs of *other*."""
        self.pairs += other.pairs
        self.counts += other.counts
        return self


def tally_of(agent: Agent, size: int, seed: int) -> Tally:
    """Return what the rules say of all pairs of *agent* with so many runs a side."""
    tally, rng = Tally(), np.random.default_rng([seed, size])
    for before, after in splits(agent.runs, size):
        tally.add(agent.side(before), agent.side(after), rng)
    print(f"{agent.name}, {size} a side", file=sys.stderr, flush=True)
    return tally


# Tables -------------------------------------------------------------------------------------------

Tallies = Mapping[tuple[str, int], Tally]


def agent_table(agents: Sequence[Agent], tallies: Tallies) -> str:
    """Return a table of the agents: verdicts as they are."""
    headers = ["agent", "tasks x runs", "missing", "runs a side", "pairs", "any drop, red",
               "5 points or more, red"]  # fmt: skip
    headers += [
        f"{WORDS[claim]}: {what}" for claim in CLAIMS for what in ("FAILED", "inconclusive")
    ]
    rows = []
    for agent in agents:
        size = f"{len(agent.rewards)} x {agent.runs}"
        for (name, side), tally in tallies.items():
            if name == agent.name:
                told = chain.from_iterable(tally.verdicts(claim, "as it is") for claim in CLAIMS)
                rows.append([name, size, str(agent.missing), str(side), *tally.plain(), *told])
    return markdown_table(TextTable(headers, rows, range(1, len(headers))))


def whole_table(tallies: Tallies) -> str:
    """Return a table of all agents together: as they are, without missing runs, and made worse."""
    headers = ["runs a side", "pairs", "any drop, red", "5 points or more, red", "missing runs",
               "limit", "claim", "FAILED", "inconclusive"]  # fmt: skip
    named = {"as it is": ("as they are", "default")}
    named |= {f"{limit:g}": ("left out", f"{100 * limit:g} points") for limit in LIMITS}
    lost = f"left out, {100 * PLANTED:g} points lost"
    named["worse"] = (lost, f"{100 * LIMITS[0]:g} points")
    rows = []
    for side in sorted({side for _, side in tallies}):
        whole = Tally()
        for (_, size), tally in tallies.items():
            whole += tally if size == side else Tally()
        for name, words in named.items():
            for claim in CLAIMS:
                plain = [f"{whole.pairs:,}", "", ""] if name == "worse" else whole.plain()
                told = whole.verdicts(claim, name)
                rows.append([str(side), *plain, *words, WORDS[claim], *told])
    return markdown_table(TextTable(headers, rows, (1, 2, 3, 7, 8)))


def main(arguments: Sequence[str]) -> None:
    """Read the agents, judge their pairs and print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a clone of the leaderboard")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(arguments)
    found = [*agents_in(args.folder)]
    agents = [one for one in found if isinstance(one, Agent)]
    if not agents:
        parser.error(f"{args.folder} holds no results/*/* with several runs of each task")
    asked = [(agent, size) for agent in agents for size in range(1, agent.runs // 2 + 1)]
    with ProcessPoolExecutor(2) as pool:
        made = pool.map(tally_of, *zip(*asked, strict=True), repeat(args.seed))
        names = ((agent.name, size) for agent, size in asked)
        tallies = dict(zip(names, made, strict=True))
    runs = [len(one) for agent in agents for one in agent.rewards.values()]
    missing = sum(agent.missing for agent in agents)
    both, agree = (sum(one.counts[key] for one in tallies.values()) for key in ("both", "agree"))
    print(f"{len(agents)} agents, {len(runs):,} tasks, {sum(runs):,} runs, {missing} missing;")
    print(f"shares of pairs in per cent; pairs share runs; seed {args.seed};")
    print(f"`compare` and the statistics agree on {agree} of {both} verdicts")
    print("\n".join(one for one in found if isinstance(one, str)))
    print(f"\n{agent_table(agents, tallies)}\n\n{whole_table(tallies)}")


if __name__ == "__main__":
    main(sys.argv[1:])
