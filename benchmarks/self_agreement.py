r"""How far two fresh runs of one suite agree: reply by reply, and score by score.

    pytest --ftgate examples/tickets --ftgate-cache /tmp/one/cache.sqlite
    pytest --ftgate examples/tickets --ftgate-cache /tmp/two/cache.sqlite
    python benchmarks/self_agreement.py examples/tickets/tickets.ftgate.yaml \\
        /tmp/one/cache.sqlite /tmp/two/cache.sqlite [general]

Greedy decoding is not exact if replies are decoded in batches: the last bit of a sum depends on its
neighbours. For each variant's labels, and for the skills of each base and tuned model, it prints
how many of the replies that both caches have are the same text, how many have the same score, and
the share that is right in each run. A skill or a set as the last argument replaces those that the
suite names.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.gates.skills import skill_samples
from pytest_ftgate.reporting.tables import format_table
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.requests.request_groups import base_variant, skill_requests, task_requests
from pytest_ftgate.scoring.scores import VariantScores, score_replies
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Suite


def asked(suite: Suite, named: str | None) -> Iterator[tuple[str, tuple[CaseRequest, ...]]]:
    """Yield the parts of a run by their names, each with its requests."""
    for variant in suite.variants.values():
        yield f"{variant.name}: labels", task_requests(suite, variant, {})
    gate = suite.gates.get("forgetting")
    if gate is None:
        return
    assert isinstance(gate, ForgettingGate)
    cases = skill_cases((named,)) if named else gate.cases
    tuned = [variant for variant in suite.variants.values() if variant.tuned]
    for one in (base_variant(tuned[0]), *tuned):
        yield f"{one.name}: skills", skill_requests(suite, one, cases, {})


def columns(
    asks: tuple[CaseRequest, ...], paths: Sequence[Path], folder: Path
) -> list[VariantScores]:
    """Return the scores of the replies that all caches have."""
    found = []
    for path in paths:
        cache = Cache(path, run="self-agreement", clock=time.time)
        found.append(cache.replies(ask.request.fingerprint for ask in asks))
        cache.close()
    both = tuple(ask for ask in asks if all(ask.request.fingerprint in own for own in found))
    return [score_replies("", both, own, folder) for own in found]


def marks(column: VariantScores) -> dict[str, float]:
    """Return the score of each case; replies to skills cases must also have the right format."""
    if any(row.case.skill for row in column.results.values()):
        side = skill_samples(column)
        return dict(zip(side.case_ids, map(float, side.values), strict=True))
    return {key: row.correct or 0.0 for key, row in column.results.items()}


def row(name: str, sides: Sequence[VariantScores]) -> list[str]:
    """Return the figures of one part of the suite."""
    one, other = (column.results for column in sides)
    first, second = map(marks, sides)
    n = len(one)
    texts = sum(one[key].replies[0].text == other[key].replies[0].text for key in one)
    same = sum(first[key] == second[key] for key in first)
    right = [f"{sum(own.values()) / n:.1%}" for own in (first, second)]
    return [name, str(n), f"{texts / n:.1%}", f"{same / n:.1%}", *right]


def main(suite_path: Path, paths: Sequence[Path], named: str | None = None) -> None:
    """Print a row for each part of the suite."""
    suite = load_suite(suite_path, Path.cwd())
    parts = ((name, columns(asks, paths, suite.path.parent)) for name, asks in asked(suite, named))
    rows = [row(name, sides) for name, sides in parts if sides[0].results]
    headers = ["part", "replies", "same text", "same score", "right, first", "right, second"]
    print(format_table(rows, headers, right_columns=range(1, 6)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(one) for one in sys.argv[2:4]], *sys.argv[4:5])
