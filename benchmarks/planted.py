"""A loss planted in one skill: is it found there, and nowhere else?

    python benchmarks/planted.py
    python benchmarks/planted.py --ledger /tmp/one/ledger.sqlite   # the embedded model's replies

The base is one that has every case right, by the replies that the tests know to be right; or, with
--ledger, the embedded model, by the replies that benchmarks/skills.py has kept there. A wrapper
spoils a share of the replies to one skill, drawn by chance, with the wrong ones that the tests
know. Each skill is spoiled in turn, and the forgetting gate judges (max_drop 0.05, whole set).
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from pytest_ftgate.cli.suite import opened
from pytest_ftgate.gates.forgetting import Compared, judge_forgetting
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.reporting.tables import grid
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.workload import base_of, skills
from pytest_ftgate.scoring.formats import Forms
from pytest_ftgate.scoring.scorers import content
from pytest_ftgate.scoring.scores import Column, Row, Score
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.model import ForgettingGate, ReplyRules, Suite, Variant
from pytest_ftgate.suite.rule import Rule

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "tickets" / "tickets.ftgate.yaml"
SHARES = (0.1, 0.2, 0.3, 0.5)
FORMS = Forms(ROOT)


def known(kind: str) -> dict[str, str]:
    """Return the first reply to each case that the tests know to be ``right`` or ``wrong``."""
    found = {}
    for path in sorted((ROOT / "tests" / "skills").glob("*.jsonl")):
        for row in map(json.loads, path.read_text("utf-8").splitlines()):
            if "id" in row:
                found[row["id"]] = row[kind][0]
    return found


def embedded(ledger: Path) -> dict[str, str]:
    """Return what the untuned embedded model said, as far as *ledger* has it."""
    suite, session = opened(EXAMPLE, ledger)
    tuned = next(variant for variant in suite.variants.values() if variant.tuned)
    asks = skills(suite, base_of(tuned), skill_cases(("general",)), {})
    own = session.ledger()
    found = own.replies(ask.call.fingerprint for ask in asks)
    own.close()
    return {a.case.id: found[a.call.fingerprint].text for a in asks if a.call.fingerprint in found}


@lru_cache(maxsize=1 << 16)
def row(case_id: str, text: str) -> Row:
    """Score one reply; the same is scored once."""
    case, reply = CASES[case_id], Reply(text=text)
    mark = content(case, reply, ROOT)
    score = Score(mark.value, FORMS.broken(case, reply), mark.why)
    return Row(case, (reply,), (score,), (f"{case.id} {text}",))


CASES = {case.id: case for case in skill_cases(("general",))}


def judged(base: dict[str, str], skill: str, share: float, seed: int) -> Verdict:
    """Spoil *share* of the replies to *skill*, and judge."""
    cases = tuple(case for case in CASES.values() if case.id in base)
    own = [case.id for case in cases if case.skill == skill]
    spoiled = set(random.Random(seed).sample(own, round(share * len(own))))
    after = {key: WRONG[key] if key in spoiled else text for key, text in base.items()}
    columns = (
        Column(name, {case.id: row(case.id, said[case.id]) for case in cases})
        for name, said in (("spoiled", after), ("base", base))
    )
    mine, theirs = columns
    return judge_forgetting(SUITE, GATE, Compared({"": (mine, theirs)}))


WRONG = known("wrong")
GATE = ForgettingGate(line=1, cases=tuple(CASES.values()), max_drop=0.05)
SUITE = Suite(
    path=ROOT / "planted.ftgate.yaml",
    name="planted.ftgate.yaml",
    cases=(),
    reply=ReplyRules(score=Rule("exact")),
    variants={"spoiled": Variant(name="spoiled", line=1, provider="python", base="base")},
    baseline="spoiled",
    gates={"forgetting": GATE},
)


def rows(base: dict[str, str], seeds: int) -> Iterator[list[str]]:
    """Yield a row of figures for each share that is spoiled."""
    names = sorted({str(CASES[key].skill) for key in base})
    for share in SHARES:
        ends, found, elsewhere = Counter[Outcome](), 0, 0
        for skill in names:
            for seed in range(seeds):
                verdict = judged(base, skill, share, seed)
                lost = {s.name for s in verdict.slices if s.judged and s.state == "lost"}
                ends[verdict.outcome] += 1
                found += skill in lost
                elsewhere += len(lost - {skill})
        tries = len(names) * seeds
        told = [f"{ends[one] / tries:.0%}" for one in (Outcome.FAILED, Outcome.PASSED)]
        yield [f"{share:.0%}", str(tries), f"{found / tries:.0%}", str(elsewhere), *told]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--ledger", type=Path, help="take the embedded model's replies from here")
    parser.add_argument("--seeds", type=int, default=5, help="how often each skill is spoiled")
    args = parser.parse_args()
    base = embedded(args.ledger) if args.ledger else known("right")
    headers = ["spoiled", "tries", "found", "elsewhere", "gate failed", "gate passed"]
    print(grid(list(rows(base, args.seeds)), headers, right=range(6)))


if __name__ == "__main__":
    main()
