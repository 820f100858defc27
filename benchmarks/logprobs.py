"""What log-probabilities show on examples/tickets, with the embedded model through Transformers.

    python benchmarks/logprobs.py [--every N] [--skills N] [--dtype TYPE] [--replies FILE]

Two tables. The first: how far the two fine-tuned models of the example are from their base, on the
base's own replies to every N-th prompt of general-small. The second: how many cases the accuracy
gate needs by `score: margin` and by the correctness of the same replies, with a limit on the drop
from one of the two models to the other: the share of random subsets of each size that pass or fail.

Replies are kept in FILE, so that a run goes on where another one was stopped. It needs the extra
`transformers`, and takes minutes of processor time. With --only-kept nothing is computed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
from gguf import GGUFReader
from safetensors.numpy import save_file

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from ftgate_testing.tickets import EXAMPLE, peft_matrices

from pytest_ftgate import note_text
from pytest_ftgate.gates.checks import DropRule, check_drop
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.divergence import evaluate_divergence
from pytest_ftgate.gates.samples import CaseSample, samples_from_cases
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.providers.base import Provider, open_provider
from pytest_ftgate.requests.builder import reading_requests
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.requests.request_groups import base_variant, skill_requests, task_requests
from pytest_ftgate.scoring.logprobs import score_margin
from pytest_ftgate.suite.gate_kinds import DivergenceGate
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Case, Suite

TUNED = ("narrow", "replay")
#: Limits of the drop, and subsets of each size.
LIMITS, SUBSETS, SEED = (0.05, 0.10), 400, 1
CHUNK = 16
#: With fewer cases nothing is compared.
LEAST = 30
SUITE = """
prompt: tickets.short.md
cases: tickets.cases.jsonl
reply: {format: {choice: LABELS}, score: margin, max_tokens: 12}
variants:
  narrow: {provider: transformers, model: smollm2-135m, adapter: narrow, dtype: DTYPE}
  replay: {like: narrow, adapter: replay}
gates: {divergence: {}}
"""


@dataclass(frozen=True, slots=True)
class Replies:
    """Replies by fingerprint, those of earlier runs included."""

    path: Path | None
    known: dict[str, object]

    @classmethod
    def read(cls, path: Path | None) -> Replies:
        """Return the replies in the file at *path*."""
        rows = path.read_text("utf-8").splitlines() if path and path.exists() else []
        pairs = (json.loads(row) for row in rows)
        return cls(path, {key: Reply.from_dict(reply) for key, reply in pairs})

    def add(self, fingerprint: str, reply: Reply) -> None:
        """Keep a reply."""
        self.known[fingerprint] = reply
        if self.path:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f'["{fingerprint}", {reply.to_json()}]\n')


def example_suite(folder: Path, dtype: str) -> Suite:
    """Return the suite, written into *folder* with the example's adapters as PEFT has them."""
    for name in TUNED:
        (folder / name).mkdir()
        matrices = peft_matrices(GGUFReader(EXAMPLE / f"tickets-{name}.gguf"))
        save_file(matrices, folder / name / "adapter_model.safetensors")
        modules = sorted({matrix.split(".")[-3] for matrix in matrices})
        config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 8, "lora_alpha": 16}
        text = json.dumps({**config, "target_modules": modules})
        (folder / name / "adapter_config.json").write_text(text, "utf-8")
    for name in ("tickets.short.md", "tickets.cases.jsonl"):
        (folder / name).write_bytes((EXAMPLE / name).read_bytes())
    rows = (EXAMPLE / "tickets.cases.jsonl").read_text("utf-8").splitlines()
    labels = sorted({json.loads(row)["expected"] for row in rows})
    path = folder / "logprobs.ftgate.yaml"
    text = SUITE.replace("LABELS", json.dumps(labels)).replace("DTYPE", dtype)
    path.write_text(text, "utf-8")
    return load_suite(path, folder)


@dataclass(slots=True)
class Asker:
    """Requests what is not known yet; the model is loaded once, and only if it is needed."""

    replies: Replies
    only_kept: bool
    provider: Provider | None = None

    async def ask(self, groups: Iterable[Sequence[CaseRequest]]) -> None:
        """Request *groups*, one after the other."""
        for group in groups if not self.only_kept else ():
            missing = [one.request for one in group if one.fingerprint not in self.replies.known]
            if not missing:
                continue
            self.provider = self.provider or open_provider(missing, os.environ, {})
            found = await asyncio.gather(*map(self.provider.generate, missing))
            for request, reply in zip(missing, found, strict=True):
                self.replies.add(request.fingerprint, reply)
            print(f"{len(self.replies.known)} replies", file=sys.stderr, flush=True)


def chunks(group: Sequence[CaseRequest]) -> Iterator[Sequence[CaseRequest]]:
    """Yield *group* in parts."""
    return (group[start : start + CHUNK] for start in range(0, len(group), CHUNK))


async def print_divergence(suite: Suite, gate: DivergenceGate, asker: Asker) -> None:
    """Print how far each tuned model is from its base."""
    print(
        f"{'':8}{'replies':>8}{'nats a token':>14}{'95 %':>18}   perplexity of the base's replies"
    )
    known = asker.replies.known
    for name in TUNED:
        variant = suite.variants[name]
        base, tuned = (
            skill_requests(suite, side, gate.cases, os.environ)
            for side in (base_variant(variant), variant)
        )
        await asker.ask(chunks(base))
        reading = [one for (one,) in reading_requests(base, tuned, known)]
        await asker.ask(chunks(reading))
        pairs = [(one.case, known.get(one.fingerprint)) for one in reading]
        found = [
            (case, reply.logprobs.divergence)
            for case, reply in pairs
            if isinstance(reply, Reply) and reply.logprobs
        ]
        verdict = evaluate_divergence(suite, gate, name, found)
        if verdict.check is None:
            continue
        check = verdict.check
        interval = f"{check.low or 0:.3f} to {check.high or 0:.3f}"
        perplexity = note_text(verdict.notes[0]).rpartition(": ")[2]
        print(f"{name:8}{check.n:8}{check.after:14.3f}{interval:>18}   {perplexity}", flush=True)


Scores = dict[str, tuple[float, float]]


def scores_of(suite: Suite, name: str, replies: Replies) -> Scores:
    """Return the margin and the correctness of the known replies of a variant, by case."""
    requests = task_requests(suite, suite.variants[name], os.environ)
    return {
        one.case.id: (
            score_margin(one.case, reply).value or 0.0,
            float(reply.text.strip() in one.case.answers),
        )
        for one in requests
        if isinstance(reply := replies.known.get(one.fingerprint), Reply)
    }


def outcome(before: Scores, after: Scores, ids: Sequence[str], kind: int, limit: float) -> Outcome:
    """Return the outcome of the drop check on the cases *ids*, by one kind of score."""
    then, now = (
        samples_from_cases({key: CaseSample(side[key][kind], 1, f"{number} {key}") for key in ids})
        for number, side in enumerate((before, after))
    )
    rule = DropRule(against="before", margin=limit, levels=Levels())
    return check_drop(then, now, rule).outcome


def print_outcomes(before: Scores, after: Scores, what: str) -> None:
    """Print how often each kind of score passes and fails, by the number of cases."""
    ids = [key for key in after if key in before]
    if len(ids) < LEAST:
        print(f"\n{what}: only {len(ids)} cases have replies of both")
        return
    rng = np.random.default_rng(SEED)
    for kind, name in ((1, "exact"), (0, "margin")):
        values = np.array([[side[key][kind] for key in ids] for side in (before, after)])
        changes = values[1] - values[0]
        print(
            f"\n{what}, {name}: {values[0].mean():.1%} -> {values[1].mean():.1%} over {len(ids)} "
            f"cases, standard deviation of the changes {changes.std(ddof=1):.3f}"
        )
        for limit in LIMITS:
            for n in (size for size in (30, 45, 60, 90, 120, 150, 180, 216) if size <= len(ids)):
                subsets = 1 if n == len(ids) else SUBSETS
                found = [
                    outcome(before, after, rng.permutation(ids)[:n].tolist(), kind, limit)
                    for _ in range(subsets)
                ]
                passed, failed = (
                    np.mean([one is wanted for one in found])
                    for wanted in (Outcome.PASSED, Outcome.FAILED)
                )
                print(
                    f"  limit {limit:.2f}  {n:4} cases: passed {passed:5.0%}  failed {failed:5.0%}"
                )


def every(cases: Sequence[Case], step: int) -> tuple[Case, ...]:
    """Return every *step*-th of *cases*."""
    return tuple(cases[::step])


async def main() -> None:
    """Compute what is missing, and print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="of the tickets (default: all)")
    parser.add_argument("--skills", type=int, default=3, help="every n-th prompt (default: 3)")
    parser.add_argument("--dtype", default="float32", help="of the weights (default: float32)")
    parser.add_argument("--replies", type=Path, help="where replies are kept")
    parser.add_argument("--only-kept", action="store_true", help="compute nothing")
    given = parser.parse_args()
    asker = Asker(Replies.read(given.replies), given.only_kept)
    with tempfile.TemporaryDirectory() as folder:
        suite = example_suite(Path(folder), given.dtype)
        suite = replace(suite, cases=every(suite.cases, given.every))
        gate = suite.gates["divergence"]
        if not isinstance(gate, DivergenceGate):
            raise TypeError(gate)
        await print_divergence(suite, replace(gate, cases=every(gate.cases, given.skills)), asker)
        both = [task_requests(suite, suite.variants[name], os.environ) for name in TUNED]
        await asker.ask(chain.from_iterable(zip(*map(chunks, both), strict=True)))
        if asker.provider:
            await asker.provider.close()
        scores = {name: scores_of(suite, name, asker.replies) for name in TUNED}
    print_outcomes(scores["narrow"], scores["replay"], "from narrow to replay")
    print_outcomes(scores["replay"], scores["narrow"], "from replay to narrow")


if __name__ == "__main__":
    asyncio.run(main())
