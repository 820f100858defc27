"""Scores of an agent's runs with what each run took, for tests and simulations of gates."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftgate_testing.score_columns import case
from pytest_ftgate.readers.agent_runs import RunFacts
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores

#: A run: its reward, and what is known of it.
Run = tuple[float | None, Mapping[str, Any]]


def agent_scores(variant: str, tasks: Sequence[Iterable[Run]], **of_case: Any) -> VariantScores:
    """Return the scores of *tasks*, each with its runs; a run without a reward has no reply."""
    rows = {}
    for number, runs in enumerate(tasks):
        name, known = f"t{number:02}", [(reward, facts) for reward, facts in runs]
        came = [(reward, facts) for reward, facts in known if reward is not None]
        rows[name] = CaseResult(
            case=replace(case(name), format=(), **of_case),
            replies=tuple(
                Reply(text=f"{name} {place}", run=RunFacts.from_plain(facts) if facts else None)
                for place, (_, facts) in enumerate(came)
            ),
            scores=tuple(Score(float(reward), None) for reward, _ in came),
            fingerprints=tuple(f"{variant} {name} {place}" for place in range(len(known))),
            missing_reasons=("gone",) * (len(known) - len(came)),
        )
    return VariantScores(variant, rows)


def costing(variant: str, costs: Sequence[Sequence[float]], right: float = 1.0) -> VariantScores:
    """Return the scores of runs of which only the cost is known, all with the reward *right*."""
    tasks = [[(right, {"cost_usd": cost}) for cost in row] for row in costs]
    return agent_scores(variant, tasks)
