r"""What a model and its fine-tunes can do, skill by skill, on the bundled general-skills set.

    python benchmarks/skills.py examples/tickets/tickets.ftgate.yaml
    python benchmarks/skills.py examples/tickets/tickets.ftgate.yaml --skills general-small
    python benchmarks/skills.py examples/tickets/tickets.ftgate.yaml \\
        --adapter one-epoch=/tmp/short/tickets-narrow.gguf --scale half=0.5 --task

It measures the base of the suite's tuned variants and each of them, and prints the share of right
replies by skill, by difficulty and by language. --adapter adds further adapters, made like the
first tuned variant; --scale adds that variant's adapter at another weight; --task adds the accuracy
on the suite's own cases. Replies are cached, so a second run sends no request; another --cache
starts afresh, and benchmarks/self_agreement.py compares the two.

    python benchmarks/skills.py examples/tickets/tickets.ftgate.yaml --only lora-replay \\
        --scale half=0.5 --only half --scale third=0.3 --only third --sample 500

prints replies for a reader to judge the scorers by, drawn at random (--seed): up to 500 that count
as right, and as many that count as wrong although the expected answer stands somewhere in them.
Cases of general-small are left out, since the rule of the scorers was written with replies to those
before the eyes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

from pytest_ftgate.gates.needs import ScoreRequest
from pytest_ftgate.gates.regressions import slice_names
from pytest_ftgate.gates.skills import skill_samples
from pytest_ftgate.plugin.suites import with_suite
from pytest_ftgate.reporting.tables import format_table
from pytest_ftgate.requests.request_groups import base_name, base_variant
from pytest_ftgate.runner.planner import Plan, full_look
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.scoring.text_scorers import contains_words, matches_pattern
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.model import Case, Suite, Variant


def variants(suite: Suite, args: argparse.Namespace) -> list[Variant]:
    """Return the base and the variants that were tuned from it."""
    tuned = [variant for variant in suite.variants.values() if variant.tuned]
    for name, _, path in (one.partition("=") for one in args.adapter):
        tuned.append(replace(tuned[0], name=name, adapter=Path(path).resolve()))
    for name, _, weight in (one.partition("=") for one in args.scale):
        tuned.append(replace(tuned[0], name=name, scale=float(weight)))
    wanted = args.only or [one.name for one in tuned]
    chosen = [base_variant(tuned[0]), *(one for one in tuned if one.name in wanted)]
    if args.threads is None:
        return chosen
    return [replace(one, runtime={**one.runtime, "threads": args.threads}) for one in chosen]


def asked(session: Session, suite: Suite, variant: Variant, gate: ForgettingGate) -> VariantScores:
    """Return the scores of *variant* on the cases of *gate*."""
    plan, request = planned(session, suite, variant, gate)
    session.replies.checked_results([plan.requests(request)], suite.name)
    return session.scores.scores(plan, request)


def planned(
    session: Session, suite: Suite, variant: Variant, gate: ForgettingGate
) -> tuple[Plan, ScoreRequest]:
    """Return what *gate* asks of *variant*, and the plan that has its requests.

    The plan is that of a tuned variant, so that its base has the same room to think.
    """
    sides = suite.variants.values()
    tuned = next((one for one in sides if base_name(one) == variant.name), variant)
    tuned = replace(tuned, runtime=variant.runtime)
    plan = session.probe.plan(replace(suite, gates={gate.kind: gate}), tuned)
    return plan, ScoreRequest(variant=variant.name, of_gate=gate.kind)


def task(session: Session, suite: Suite, variant: Variant) -> float:
    """Return the accuracy of *variant* on the suite's own cases."""
    asks = session.built.task(suite, variant, full_look(suite))
    session.replies.checked_results([asks], suite.name)
    return float(session.scores.task_scores(suite, variant, full_look(suite)).correct.mean())


def rates(column: VariantScores, kind: str) -> Mapping[str, tuple[int, float]]:
    """Return how many cases each part has, and the share of right replies."""
    side, parts = skill_samples(column), dict[str, list[float]]()
    for key, value in zip(side.case_ids, side.values, strict=True):
        for name in slice_names(column.results[key].case, kind):
            parts.setdefault(name, []).append(float(value))
    return {name: (len(own), sum(own) / len(own)) for name, own in sorted(parts.items())}


def table(columns: Mapping[str, VariantScores], kind: str) -> str:
    """Return the rates of one kind of part as a table."""
    found = {name: rates(column, kind) for name, column in columns.items()}
    first = next(iter(found.values()))
    rows = [
        [part, str(n), *(f"{own[part][1]:.0%}" for own in found.values())]
        for part, (n, _) in first.items()
    ]
    if kind == "skill":
        means = [sum(rate for _, rate in own.values()) / len(own) for own in found.values()]
        rows.append(["mean", str(sum(n for n, _ in first.values())), *(f"{m:.1%}" for m in means)])
    return format_table(rows, [kind, "n", *found], right_columns=range(1, 2 + len(found)))


#: The scorers of short answers.
SCORERS = "pytest_ftgate.scoring.skill_scorers:"


def mentions(case: Case, text: str) -> bool:
    """Return True if the expected answer of *case* stands anywhere in *text*."""
    if case.expected is None:
        return False
    if str(case.score.value).endswith(":matches"):
        return matches_pattern(text, case.answers)
    return contains_words(text, [str(answer) for answer in case.answers])


def judged(columns: Mapping[str, VariantScores]) -> Iterator[tuple[str, bool]]:
    """Yield what a reader judges a reply by, and whether it counts as right."""
    for name, column in columns.items():
        side = skill_samples(column)
        for key, value in zip(side.case_ids, side.values, strict=True):
            result = column.results[key]
            case, reply = result.case, result.replies[0]
            if not str(case.score.value).startswith(SCORERS) or "small" in case.tags:
                continue
            if value == 1 or mentions(case, reply.text):
                asked = case.input or " / ".join(text for _, text in case.messages)
                cut = " [cut off]" if reply.stop == "length" else ""
                scorer = str(case.score.value).removeprefix(SCORERS)
                lines = (f"{case.id} {name} ({scorer})", f"Q {asked!r}", f"E {case.expected!r}")
                yield "\n  ".join((*lines, f"A {reply.text!r}{cut}")), bool(value == 1)


def sample(columns: Mapping[str, VariantScores], count: int, seed: int) -> str:
    """Return *count* replies that count as right, and as many that might, each to be judged."""
    rows, parts = [*judged(columns)], []
    for is_right, title in ((True, "count as right"), (False, "mention the answer, and do not")):
        own = [text for text, value in rows if value is is_right]
        drawn = Random(seed).sample(own, min(count, len(own)))
        parts += [f"{len(drawn)} of {len(own)} replies that {title}:", *drawn]
    return "\n\n".join(parts)


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
    parser.add_argument("--sample", type=int, metavar="N", help="print replies to judge instead")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--threads", type=int, help="fewer leave cores to others")
    parser.add_argument("--cache", type=Path, default=Path(".ftgate/cache.sqlite"))
    args = parser.parse_args()
    with_suite(args.suite, args.cache, partial(measure, args))


def measure(args: argparse.Namespace, suite: Suite, session: Session) -> None:
    """Send the requests, and print the tables."""
    cases = skill_cases(tuple(args.skills.split(",")))
    gate = ForgettingGate(line=0, cases=cases, max_drop=0.1)
    chosen = variants(suite, args)
    names = ["base", *(one.name for one in chosen[1:])]
    asks = (asked(session, suite, one, gate) for one in chosen)
    columns = dict(zip(names, asks, strict=True))
    own = [task(session, suite, one) for one in chosen[1:]] if args.task else []
    session.close()
    if args.sample:
        print(sample(columns, args.sample, args.seed))
        return
    for name, accuracy in zip(names[1:], own, strict=False):
        print(f"accuracy of {name} on {len(suite.cases)} cases of {suite.name}: {accuracy:.0%}")
    print("\n\n".join(table(columns, kind) for kind in ("skill", "difficulty", "language")))


if __name__ == "__main__":
    main()
