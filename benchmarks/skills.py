r"""What a model and its fine-tunes can do, skill by skill, on the bundled general-skills set.

    python benchmarks/skills.py examples/tickets/tickets.ftgate.yaml
    python benchmarks/skills.py examples/tickets/tickets.ftgate.yaml --skills general-small
    python benchmarks/skills.py examples/tickets/tickets.ftgate.yaml \\
        --adapter one-epoch=/tmp/short/tickets-narrow.gguf --scale half=0.5 --task

It asks the base of the suite's tuned variants and each of them, and prints the share of right
replies by skill, by difficulty and by language; with --adapter further adapters beside them, made
like the first tuned variant, with --scale that variant's adapter at another weight, and with --task
the accuracy on the suite's own cases. Replies are kept in the ledger, so that a second call asks
nothing; another --ledger asks anew, and benchmarks/self_agreement.py tells how far two agree.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pytest_ftgate.cli.suite import opened
from pytest_ftgate.gates.skills import by_worth
from pytest_ftgate.gates.slices import parts_of
from pytest_ftgate.reporting.tables import grid
from pytest_ftgate.requests.workload import base_of
from pytest_ftgate.runner.session import Session, whole
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.model import ForgettingGate, Suite, Variant


def variants(suite: Suite, args: argparse.Namespace) -> list[Variant]:
    """Return the base and what was tuned from it."""
    tuned = [variant for variant in suite.variants.values() if variant.tuned]
    for name, _, path in (one.partition("=") for one in args.adapter):
        tuned.append(replace(tuned[0], name=name, adapter=Path(path).resolve()))
    for name, _, weight in (one.partition("=") for one in args.scale):
        tuned.append(replace(tuned[0], name=name, scale=float(weight)))
    wanted = args.only or [one.name for one in tuned]
    chosen = [base_of(tuned[0]), *(one for one in tuned if one.name in wanted)]
    if args.threads is None:
        return chosen
    return [replace(one, runtime={**one.runtime, "threads": args.threads}) for one in chosen]


def asked(session: Session, suite: Suite, variant: Variant, gate: ForgettingGate) -> Column:
    """Return the scores of *variant* on the cases of *gate*."""
    asks = session.asks.skills(suite, variant, gate)
    session.answers([asks], None, suite.name)
    return session.columns.skills(suite, variant, gate)


def task(session: Session, suite: Suite, variant: Variant) -> float:
    """Return the accuracy of *variant* on the suite's own cases."""
    asks = session.asks.task(suite, variant, whole(suite))
    session.answers([asks], None, suite.name)
    return float(session.columns.task(suite, variant, whole(suite)).correct.mean())


def rates(column: Column, kind: str) -> Mapping[str, tuple[int, float]]:
    """Return how many cases each part has, and the share of right replies."""
    side, parts = by_worth(column), dict[str, list[float]]()
    for key, value in zip(side.keys, side.values, strict=True):
        for name in parts_of(column.rows[key].case, kind):
            parts.setdefault(name, []).append(float(value))
    return {name: (len(own), sum(own) / len(own)) for name, own in sorted(parts.items())}


def table(columns: Mapping[str, Column], kind: str) -> str:
    """Lay out the rates of one kind of part."""
    found = {name: rates(column, kind) for name, column in columns.items()}
    first = next(iter(found.values()))
    rows = [
        [part, str(n), *(f"{own[part][1]:.0%}" for own in found.values())]
        for part, (n, _) in first.items()
    ]
    if kind == "skill":
        means = [sum(rate for _, rate in own.values()) / len(own) for own in found.values()]
        rows.append(["mean", str(sum(n for n, _ in first.values())), *(f"{m:.1%}" for m in means)])
    return grid(rows, [kind, "n", *found], right=range(1, 2 + len(found)))


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("suite", type=Path)
    parser.add_argument("--skills", default="general")
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--scale", action="append", default=[], metavar="NAME=WEIGHT")
    parser.add_argument("--only", action="append", help="this variant beside the base; base: none")
    parser.add_argument("--task", action="store_true", help="accuracy on the suite's own cases")
    parser.add_argument("--threads", type=int, help="one is best beside other load")
    parser.add_argument("--ledger", type=Path, default=Path(".ftgate/ledger.sqlite"))
    args = parser.parse_args()
    suite, session = opened(args.suite, args.ledger)
    cases = skill_cases(tuple(args.skills.split(",")))
    gate = ForgettingGate(line=0, cases=cases, max_drop=0.1)
    chosen = variants(suite, args)
    names = ["base", *(one.name for one in chosen[1:])]
    asks = (asked(session, suite, one, gate) for one in chosen)
    columns = dict(zip(names, asks, strict=True))
    own = [task(session, suite, one) for one in chosen[1:]] if args.task else []
    session.close()
    for name, accuracy in zip(names[1:], own, strict=False):
        print(f"accuracy of {name} on {len(suite.cases)} cases of {suite.name}: {accuracy:.0%}")
    print("\n\n".join(table(columns, kind) for kind in ("skill", "difficulty", "language")))


if __name__ == "__main__":
    main()
