r"""What a model and its fine-tunes can do in `general` and `general-hard`, by family and level.

    python benchmarks/levels_live.py examples/tickets/tickets.ftgate.yaml --cache /tmp/one.sqlite
    python benchmarks/levels_live.py examples/tickets/tickets.ftgate.yaml \\
        --cache /tmp/two.sqlite --first /tmp/one.sqlite

It sends some cases of each family and level to the base of the suite's tuned variants and to each
of them, and prints how many replies are right: for each model, the counts of the levels 1 to 5. The
levels of `general`, whose families come first, are the difficulties of its cases. Skills take turns
in a level, so its first cases have all of them. Replies are cut after --max-tokens, and cases whose
text is too long for a small context are left out. A level without cases is a "-". --first names the
cache of an earlier run: printed is how many replies have the same text in both, and the same score.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path

from self_agreement import columns, row
from skills import asked, planned, variants

from pytest_ftgate import skills
from pytest_ftgate.gates.skills import skill_samples
from pytest_ftgate.plugin.suites import with_suite
from pytest_ftgate.reporting.tables import format_table
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.cases import leveled_cases, skill_cases
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.model import Case, Suite

#: The characters of a text, about 450 tokens.
LONGEST = 1600


def sample(easy: int, hard: int, max_tokens: int) -> tuple[Case, ...]:
    """Return the first cases of each family and level that are short enough.

    They are *easy* of each level of `general`, and *hard* gated ones of `general-hard`.
    """
    chosen: list[Case] = []
    for family in (*skills.FAMILIES, *skills.LEVELED_FAMILIES):
        for level in skills.LEVELS:
            is_hard = family in skills.LEVELED_FAMILIES
            cases = leveled_cases(family, level) if is_hard else _easy_cases(family, level)
            short = [case for case in cases if _length(case) <= LONGEST]
            chosen += short[: hard if is_hard else easy]
    return tuple(
        replace(case, max_tokens=min(case.max_tokens or max_tokens, max_tokens)) for case in chosen
    )


def _easy_cases(family: str, level: int) -> list[Case]:
    """Return the cases of `general` of one level, one of each skill after the other."""
    of_skills = [
        [case for case in skill_cases((skill,)) if case.difficulty == level]
        for skill in skills.FAMILIES[family]
    ]
    turns = zip_longest(*of_skills)
    return [case for turn in turns for case in turn if case is not None]


def _length(case: Case) -> int:
    return len(case.input) + sum(len(text) for _, text in case.messages)


def rates(scores: VariantScores) -> dict[tuple[str, int], list[float]]:
    """Return the scores of the cases of each family and level."""
    side, parts = skill_samples(scores), dict[tuple[str, int], list[float]]()
    for key, value in zip(side.case_ids, side.values, strict=True):
        case = scores.results[key].case
        family = skills.family_of(str(case.skill))
        parts.setdefault((family, case.difficulty or 0), []).append(float(value))
    return parts


def table(models: Mapping[str, VariantScores]) -> str:
    """Return the right replies of each model by family and level."""
    found = {name: rates(scores) for name, scores in models.items()}
    rows = []
    for family in (*skills.FAMILIES, *skills.LEVELED_FAMILIES):
        asked = next(iter(found.values()))
        cases = [len(asked.get((family, level), ())) for level in skills.LEVELS]
        if not any(cases):
            continue
        counts = [_counts(parts, family) for parts in found.values()]
        rows.append([family, " ".join(map(_number, cases)), *counts])
    return format_table(rows, ["family", "cases of level 1 to 5", *found])


def _counts(parts: Mapping[tuple[str, int], Sequence[float]], family: str) -> str:
    """Return how many replies of each level are right."""
    levels = [parts.get((family, level)) for level in skills.LEVELS]
    return " ".join("-" if values is None else f"{sum(values):.0f}" for values in levels)


def _number(count: int) -> str:
    return str(count or "-")


def measure(args: argparse.Namespace, suite: Suite, session: Session) -> None:
    """Send the requests, and print the tables."""
    cases = sample(args.easy, args.hard, args.max_tokens)
    gate = ForgettingGate(line=0, cases=cases, max_drop=0.1)
    chosen = variants(suite, args)
    names = ["base", *(variant.name for variant in chosen[1:])]
    started = time.monotonic()
    models = {
        name: asked(session, suite, variant, gate)
        for name, variant in zip(names, chosen, strict=True)
    }
    print(f"{len(cases)} cases, {len(models)} models, {time.monotonic() - started:.0f} s\n")
    print(table(models))
    if args.first:
        rows = []
        for name, variant in zip(names, chosen, strict=True):
            plan, request = planned(session, suite, variant, gate)
            requests, paths = plan.requests(request), [args.first, args.cache]
            rows.append(row(name, columns(requests, paths, suite.path.parent)))
        headers = ["model", "replies", "same text", "same score", "right, first", "right, second"]
        print(f"\n{format_table(rows, headers, right_columns=range(1, 6))}")
    session.close()


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("suite", type=Path)
    parser.add_argument("--easy", type=int, default=2, help="cases of a level of general")
    parser.add_argument("--hard", type=int, default=2, help="and of general-hard")
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--only", action="append", help="this variant beside the base; base: none")
    parser.add_argument("--threads", type=int, help="fewer leave cores to others")
    parser.add_argument("--cache", type=Path, default=Path(".ftgate/cache.sqlite"))
    parser.add_argument("--first", type=Path, help="the cache of an earlier run")
    parser.set_defaults(adapter=[], scale=[])
    args = parser.parse_args()
    with_suite(args.suite, args.cache, partial(measure, args))


if __name__ == "__main__":
    main()
