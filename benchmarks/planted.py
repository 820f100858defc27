"""A drop planted in one family, or in one skill: is it found there, and nowhere else?

    python benchmarks/planted.py
    python benchmarks/planted.py --cache /tmp/one/cache.sqlite   # the embedded model's replies

The base has every case right, by the right replies of the tests; or, with --cache, it is the
embedded model, by the replies that benchmarks/skills.py cached there. A share of the replies to one
family, or to one skill, drawn by chance, is replaced with the wrong replies of the tests. Each
family, and each skill, is spoiled in turn, and the forgetting gate is evaluated (max_drop 0.05,
whole set). A drop is found where the family regressed; it is named where the headline names the
family or the skill.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from pytest_ftgate.gates.forgetting import SkillComparison, evaluate_forgetting
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.plugin.suites import with_suite
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.tables import format_table
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request_groups import base_variant, skill_requests
from pytest_ftgate.runner.session import Session
from pytest_ftgate.scoring.formats import FormatChecker
from pytest_ftgate.scoring.scorers import score_content
from pytest_ftgate.scoring.scores import CaseResult, Score, VariantScores
from pytest_ftgate.skills import FAMILIES, skill_names
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.model import ReplyRules, Suite, Variant
from pytest_ftgate.suite.rule import Rule

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "tickets" / "tickets.ftgate.yaml"
SHARES = (0.1, 0.2, 0.3, 0.5)
FORMS = FormatChecker(ROOT)


def known(kind: str) -> dict[str, str]:
    """Return the first ``right`` or ``wrong`` reply of the tests to each case."""
    found = {}
    for path in sorted((ROOT / "tests" / "skills").glob("*.jsonl")):
        for row in map(json.loads, path.read_text("utf-8").splitlines()):
            if "id" in row:
                found[row["id"]] = row[kind][0]
    return found


def embedded(cache: Path) -> dict[str, str]:
    """Return the replies of the untuned embedded model, as far as *cache* has them."""
    return with_suite(EXAMPLE, cache, embedded_of)


def embedded_of(suite: Suite, session: Session) -> dict[str, str]:
    """Return the replies of the untuned embedded model, as far as the session has them."""
    tuned = next(variant for variant in suite.variants.values() if variant.tuned)
    asks = skill_requests(suite, base_variant(tuned), skill_cases(("general",)), {})
    own = session.replies.open_cache()
    found = own.replies(ask.request.fingerprint for ask in asks)
    own.close()
    return {
        a.case.id: found[a.request.fingerprint].text for a in asks if a.request.fingerprint in found
    }


@lru_cache(maxsize=1 << 16)
def row(case_id: str, text: str) -> CaseResult:
    """Score one reply; equal replies are scored once."""
    case, reply = CASES[case_id], Reply(text=text)
    mark = score_content(case, reply, ROOT)
    score = Score(mark.value, FORMS.find_error(case, reply), mark.reason)
    return CaseResult(case, (reply,), (score,), (f"{case.id} {text}",))


CASES = {case.id: case for case in skill_cases(("general",))}


def judged(base: dict[str, str], skills: Sequence[str], share: float, seed: int) -> Verdict:
    """Spoil *share* of the replies to *skills*, and evaluate the gate."""
    cases = tuple(case for case in CASES.values() if case.id in base)
    own = [case.id for case in cases if case.skill in skills]
    spoiled = set(random.Random(seed).sample(own, round(share * len(own))))
    after = {key: WRONG[key] if key in spoiled else text for key, text in base.items()}
    columns = (
        VariantScores(name, {case.id: row(case.id, said[case.id]) for case in cases})
        for name, said in (("spoiled", after), ("base", base))
    )
    mine, theirs = columns
    return evaluate_forgetting(SUITE, GATE, SkillComparison({"": (mine, theirs)}))


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
    """Yield a row of figures for each share of a family, and of a skill, that is spoiled."""
    for share in SHARES:
        yield [f"{share:.0%} of a family", *figures(base, FAMILIES, share, seeds)]
    skills = {skill: (skill,) for skill in skill_names()}
    for share in (*SHARES, 1.0):
        yield [f"{share:.0%} of a skill", *figures(base, skills, share, seeds)]


def figures(
    base: dict[str, str], parts: Mapping[str, Sequence[str]], share: float, seeds: int
) -> list[str]:
    """Spoil each of *parts*, with its skills, as often as there are *seeds*."""
    ends, found, named, elsewhere = Counter[Outcome](), 0, 0, 0
    for part, skills in parts.items():
        family = GATE.family_of(skills[0])
        for seed in range(seeds):
            verdict = judged(base, skills, share, seed)
            lost = {s.name for s in verdict.slices if s.gated and s.state == "regressed"}
            ends[verdict.outcome] += 1
            found += family in lost
            named += any(f" {name} " in headline(verdict) for name in (family, part))
            elsewhere += len(lost - {family})
    tries = len(parts) * seeds
    told = [f"{number / tries:.0%}" for number in (found, named)]
    told.append(str(elsewhere))
    told += [f"{ends[one] / tries:.0%}" for one in (Outcome.FAILED, Outcome.PASSED)]
    return [str(tries), *told]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cache", type=Path, help="take the embedded model's replies from here")
    parser.add_argument("--seeds", type=int, default=5, help="how often each one is spoiled")
    args = parser.parse_args()
    base = embedded(args.cache) if args.cache else known("right")
    headers = ["spoiled", "tries", "found", "named", "elsewhere", "gate failed", "gate passed"]
    print(format_table(list(rows(base, args.seeds)), headers, right_columns=range(1, 7)))


if __name__ == "__main__":
    main()
