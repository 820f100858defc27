r"""Make every figure, reply and picture anew that rests on the embedded model's weights.

    python benchmarks/regenerate.py --list
    python benchmarks/regenerate.py OUT [--only STEP ...]

Run it on an idle machine after the weights, an adapter or an example has changed. It overwrites the
recorded replies and the pictures, and writes each command's output to OUT/STEP.txt. From those it
writes the screens that documents quote below a comment (screens.py). Other screens, and figures in
sentences, are edited by hand; ``--list`` names the documents. A
step that was interrupted goes on from the caches in OUT. It ends with the steps that failed; a run
of an example ends with 1 because one of its gates fails, which is no failure here.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from screens import main as write_screens

ROOT = Path(__file__).parents[1]
TICKETS, LADDER = "examples/tickets/tickets.ftgate.yaml", "examples/ladder/ladder.ftgate.yaml"
RUN = "-m pytest --ftgate"
CLI = '-c "import sys; from pytest_ftgate.cli.main import main; sys.exit(main(sys.argv[1:]))"'
TWO = f"benchmarks/self_agreement.py {TICKETS} OUT/tickets.sqlite OUT/again.sqlite"
ANSWERS = "examples/answers/base.jsonl examples/answers/tuned.jsonl"
FORGOT = f"{TICKETS}::forgetting[lora-narrow]"


@dataclass(frozen=True)
class Step:
    """A command of Python, and the files that show what it prints.

    Attributes:
        name: the name of the step.
        command: the arguments of Python; OUT is the folder for outputs.
        shown_in: the documents that quote it, or the files that it writes.
        codes: the exit codes of a success.
        in_out: whether it runs in OUT, so that it prints short paths, and not in the repository.
    """

    name: str
    command: str
    shown_in: str
    codes: tuple[int, ...] = (0,)
    in_out: bool = False


STEPS = (
    Step(
        "tickets",
        f"{RUN} --ftgate-cache=OUT/tickets.sqlite --ftgate-json=OUT/tickets.json examples/tickets",
        "README.md, examples/tickets/README.md, docs/forgetting.md",
        (1,),
    ),
    Step(
        "demo-replies",
        "benchmarks/demo.py OUT/tickets.sqlite",
        "pytest_ftgate/demo/*.jsonl",
    ),
    Step("demo", f"{CLI} demo ftgate-demo", "README.md, docs/reports.md", in_out=True),
    Step(
        "compare",
        f"{CLI} compare {ANSWERS} --max-drop 0.05",
        "README.md",
        (1,),
    ),
    Step(
        "explain",
        f"{CLI} explain {FORGOT} --cache OUT/tickets.sqlite",
        "docs/reports.md",
    ),
    Step(
        "again",
        f"{RUN} --ftgate-cache=OUT/again.sqlite examples/tickets",
        "(for the next step)",
        (1,),
    ),
    Step("agreement", TWO, "examples/tickets/README.md"),
    Step(
        "skills",
        f"benchmarks/skills.py {TICKETS} --task --cache OUT/tickets.sqlite",
        "examples/tickets/README.md",
    ),
    Step("planted", "benchmarks/planted.py", "docs/forgetting.md"),
    Step(
        "skills-again",
        f"benchmarks/skills.py {TICKETS} --cache OUT/again.sqlite",
        "(for the next step)",
    ),
    Step("agreement-skills", f"{TWO} general", "examples/tickets/README.md"),
    Step(
        "levels",
        f"benchmarks/levels_live.py {TICKETS} --cache OUT/levels.sqlite",
        "docs/forgetting.md",
    ),
    Step(
        "scales",
        f"benchmarks/skills.py {TICKETS} --skills general-small --scale half=0.5 --task"
        " --cache OUT/tickets.sqlite",
        "(in no document)",
    ),
    Step(
        "chance",
        f"{CLI} selftest benchmarks/skills.ftgate.yaml --cache OUT/chance.sqlite",
        "(in no document)",
    ),
    Step(
        "sampled",
        f"{CLI} selftest benchmarks/sampled.ftgate.yaml --cache OUT/chance.sqlite",
        "(in no document)",
    ),
    Step(
        "ladder",
        f"{RUN} --ftgate-ladder --ftgate-cache=OUT/ladder.sqlite --ftgate-json=OUT/ladder.json"
        " examples/ladder",
        "README.md, docs/ladder.md, examples/ladder/README.md",
        (0, 1),
    ),
    Step(
        "ladder-replies",
        f"{CLI} cache export {LADDER} -o tests/recorded/ladder.replies.jsonl"
        " --cache OUT/ladder.sqlite",
        "tests/recorded/ladder.replies.jsonl",
    ),
    Step(
        "judge",
        f"{RUN} --ftgate-cache=OUT/judge.sqlite examples/judge",
        "examples/judge/README.md",
        (1,),
    ),
    Step(
        "pictures",
        "-m pytest tests/reporting/html/test_page_in_a_browser.py -k pictures",
        "docs/pictures/*.png",
    ),
    Step(
        "training",
        "benchmarks/checkpoints.py OUT/training --every 4 --log docs/pictures/training-narrow.json",
        "docs/training.md, examples/tickets/README.md, docs/pictures/training-narrow.json",
    ),
    Step(
        "training-picture",
        "examples/tickets/curve.py docs/pictures/training-narrow.json"
        " -o docs/pictures/training-narrow.svg",
        "docs/pictures/training-narrow.svg",
    ),
    Step("speed", "benchmarks/local_model.py speed", "docs/contributing/measurements.md"),
    Step(
        "weights",
        "benchmarks/local_model.py weights --folder OUT/weights",
        "docs/contributing/measurements.md",
    ),
    Step("types", "benchmarks/local_model.py types", "docs/contributing/measurements.md"),
)


def run(step: Step, out: Path) -> bool:
    """Run one step; return whether it succeeded."""
    arguments = shlex.split(step.command.replace("OUT", shlex.quote(str(out))))
    environ = {**os.environ, "FTGATE_PICTURES": str(out / "tickets.json")}
    # A neighbour that may be installed, and would change the order of the gates.
    environ["PYTEST_ADDOPTS"] = "-p no:randomly"
    with (out / f"{step.name}.txt").open("w", encoding="utf-8") as output:
        process = subprocess.run(
            [sys.executable, *arguments],
            check=False,
            cwd=out if step.in_out else ROOT,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return process.returncode in step.codes


def main() -> int:
    """Run the steps in order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--list", action="store_true", help="print the steps and run none")
    parser.add_argument("--only", nargs="+", choices=[step.name for step in STEPS])
    args = parser.parse_args()
    steps = [step for step in STEPS if not args.only or step.name in args.only]
    if args.list or args.out is None:
        for step in steps:
            print(f"{step.name}: {step.shown_in}\n    python {step.command}")
        return 0
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    failed = []
    for step in steps:
        print(f"{step.name} …", flush=True)
        if not run(step, out):
            failed.append(step.name)
            print(f"{step.name} failed: see {out / step.name}.txt", flush=True)
    return len(failed) + write_screens(out)


if __name__ == "__main__":
    sys.exit(main())
