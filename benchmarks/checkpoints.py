"""What gates cost while the example's narrow adapter is trained, and where they stop it.

    python benchmarks/checkpoints.py OUT [--every 10] [--variant narrow] [--go-on] [--steps N]
        [--log FILE]

It trains as ``examples/tickets/train.py --gates`` does, with the default budget of the callback: 60
cases, and 60 cases of general skills, all 252 of them where they are in doubt. Each of both prints
its time, the CPU time of all threads, the requests that were sent, and its verdicts. The first ones
also request the replies of the base. OUT gets the trainer's log, and FILE the figures of
the gates in it, which ``examples/tickets/curve.py`` draws. Needs the extra ``train``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[1] / "examples" / "tickets"
sys.path.insert(0, str(EXAMPLE))

import train  # noqa: E402 - the example's trainer

from pytest_ftgate import headline, weights  # noqa: E402
from pytest_ftgate.training import callback, checkpoints  # noqa: E402


class TimedGates(checkpoints.CheckpointGates):
    """Prints what each evaluation took."""

    def _run(
        self,
        source: Any,
        cases: int | None,
        whole: Collection[str] = (),
        step: int | None = None,
    ) -> Any:
        start, cpu = time.perf_counter(), time.process_time()
        result = super()._run(source, cases, whole, step)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        part = f"all cases of {', '.join(whole)}" if whole else f"{cases} cases of each gate"
        sent = result.report.requests.sent
        print(f"{part}: {seconds:.0f} s, {cpu:.0f} CPU seconds, {sent} requests", flush=True)
        for verdict in result.verdicts:
            print(f"  {verdict.outcome:<12} {headline(verdict)}", flush=True)
        return result

    def evaluate(self, source: Any, step: int, cases: int | None) -> Any:
        """Print the step before its evaluation."""
        print(f"step {step}", flush=True)
        return super().evaluate(source, step, cases)


def keep_figures(log: Path, kept: Path) -> None:
    """Write what a trainer's *log* has of the gates to the file *kept*."""
    rows = json.loads(log.read_text("utf-8"))["log_history"]
    chosen = [row for row in rows if any(name.startswith("ftgate/") for name in row)]
    kept.write_text(json.dumps({"log_history": chosen}, indent=1) + "\n", "utf-8")


def main() -> None:
    """Train with gates, and print their cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path)
    parser.add_argument("--every", type=int, default=10, dest="gates", help="steps")
    parser.add_argument("--variant", choices=train.VARIANTS, default="narrow")
    parser.add_argument("--go-on", action="store_true", help="do not stop where a gate drops")
    parser.add_argument("--steps", type=int, help="the steps of the whole training")
    parser.add_argument("--log", type=Path, help="a file for the figures of the gates")
    args = parser.parse_args()
    args.epochs, args.rank, args.start = train.TICKET_EPOCHS, train.RANK, None
    args.learning_rate = train.LEARNING_RATE
    args.weights = weights.find_weights("smollm2-135m", EXAMPLE)
    tokenizer = train.AutoTokenizer.from_pretrained(
        args.weights.parent, gguf_file=args.weights.name
    )
    callback.CheckpointGates = TimedGates  # type: ignore[attr-defined, misc, unused-ignore]
    train.train(args.variant, args, tokenizer)
    if args.log:
        keep_figures(args.out / f"log-{args.variant}.json", args.log)


if __name__ == "__main__":
    main()
