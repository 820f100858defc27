"""All figures of the README and the docs, measured by one command and written into them.

    python benchmarks/run.py --list
    python benchmarks/run.py [--quick] [NAME ...]
    python benchmarks/run.py --render

Each figure is what a command prints. If a document shows or quotes it, it is kept in
``figures.json`` with the date, the seconds it took and the machine. A document shows it below a
line ``<!-- figure NAME -->``, or quotes its numbers in the table or the paragraph below a line
``<!-- numbers of NAME -->``.

``--quick`` measures smaller forms, prints them and keeps nothing. What takes many minutes on two
cores is measured when it is named, or by ``--all``. The variable ``HARNESS`` names the folder of
other tools, which `peers.py` needs, and ``LEADERBOARD`` the clone that `agents_aa.py` reads.
`guard.py` compares the speed of a checkout with that of the commit that ``figures.json`` names.
Figures that rest on replies of the embedded model come from `regenerate.py`, apart from those of
time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import growth_picture

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "figures.json"
#: Stand in commands for the folders that the variables of these names hold.
FOLDERS = ("HARNESS", "LEADERBOARD")
#: A line that names a figure, and the block below it.
SHOWN = re.compile(r"<!-- figure ([\w-]+) -->\n\n```\n(.*?)```\n", re.DOTALL)

#: A line that names a figure, and the paragraph or the table below it, which quotes its numbers.
QUOTED = re.compile(r"<!-- numbers of ([\w-]+) -->\n\n?((?: *(?!- |<!--)\S.*\n)+)")


@dataclass(frozen=True, slots=True)
class Figure:
    """What one command prints.

    Attributes:
        command: the arguments of Python.
        quick: those of a smaller form, or "" for none.
        is_long: measured only when named or with ``--all``.
    """

    name: str
    command: str
    quick: str = ""
    is_long: bool = False


FIGURES = (
    Figure("engine", "benchmarks/engine.py --rounds 3", "benchmarks/engine.py --rounds 1 one"),
    Figure("first-run", "benchmarks/first_run.py", is_long=True),
    Figure("start-up", "benchmarks/startup.py", "benchmarks/startup.py 2"),
    Figure("evaluation", "benchmarks/judging.py", "benchmarks/judging.py 4 1000"),
    Figure("marked", "benchmarks/marked.py", "benchmarks/marked.py 4 40 2"),
    Figure("replies", "benchmarks/large.py", "benchmarks/large.py 10000 100"),
    Figure(
        "growth",
        "benchmarks/growth.py 1000 10000 30000 --replayed 1000000",
        "benchmarks/growth.py 200 400",
    ),
    Figure("ray", "benchmarks/ray_size.py", "", is_long=True),
    Figure("page", "benchmarks/page.py", "benchmarks/page.py 100 20"),
    Figure("kills", "benchmarks/kills.py", "benchmarks/kills.py 2 200", is_long=True),
    Figure("training-data", "benchmarks/training_data.py examples/tickets/tickets.train.jsonl"),
    Figure("levels", "benchmarks/skill_levels.py", is_long=True),
    Figure("planted", "benchmarks/planted.py", is_long=True),
    Figure("stops", "benchmarks/stops.py", is_long=True),
    Figure("error-rates", "benchmarks/error_rates.py --replicates 2500", is_long=True),
    Figure("means", "benchmarks/error_rates_means.py", is_long=True),
    Figure("parts", "benchmarks/error_rates_parts.py", is_long=True),
    Figure("looks", "benchmarks/error_rates_looks.py", is_long=True),
    Figure("tasks", "benchmarks/error_rates_tasks.py", is_long=True),
    Figure("agents", "benchmarks/agents_aa.py LEADERBOARD", is_long=True),
    Figure("builds", "benchmarks/error_rates_builds.py", is_long=True),
    Figure("labels", "benchmarks/error_rates_labels.py", is_long=True),
    Figure(
        "peers",
        "benchmarks/peers.py HARNESS --rounds 1 --warm-rounds 0 pydantic_evals promptfoo "
        "deepeval_gen+evaluate lm_eval inspect_tuned pytest_evals_n16",
        is_long=True,
    ),
    Figure("batching", "benchmarks/batching.py", is_long=True),
    Figure("loading", "benchmarks/loading.py", is_long=True),
    Figure("local-model", "benchmarks/local_model.py speed", is_long=True),
    Figure("weights", "benchmarks/local_model.py weights", is_long=True),
    Figure(
        "types", "benchmarks/local_model.py types", "benchmarks/local_model.py types --rounds 1"
    ),
)


def kept() -> dict[str, dict[str, object]]:
    """Return the figures of ``figures.json`` by name."""
    figures: dict[str, dict[str, object]] = json.loads(KEPT.read_text("utf-8"))["figures"]
    return figures


def machine() -> str:
    """Return what the times of this machine depend on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {platform.machine()}, Python {platform.python_version()}"


def measure(figure: Figure, command: str) -> dict[str, object]:
    """Run *command*, and return what it printed with the circumstances.

    A command ends with 1 if a promise is broken; what it printed says so.

    Raises:
        SystemExit: it printed nothing, or ended otherwise.
    """
    start = time.perf_counter()
    words = [
        os.environ.get(word, word) if word in FOLDERS else word for word in shlex.split(command)
    ]
    done = subprocess.run(
        [sys.executable, *words],
        check=False,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode not in {0, 1} or not done.stdout.strip():
        raise SystemExit(f"{figure.name}: exit status {done.returncode}\n{done.stdout}")
    return {
        "command": f"python {command}",
        "date": datetime.now(tz=UTC).date().isoformat(),
        "machine": machine(),
        "seconds": round(time.perf_counter() - start),
        "printed": done.stdout.rstrip().splitlines(),
    }


def block(figure: dict[str, object]) -> str:
    """Return what a document shows of a figure."""
    printed = figure["printed"]
    assert isinstance(printed, list)
    about = f"$ {figure['command']}    ({figure['machine']}, {figure['date']})"
    return "\n".join([about, *printed, ""])


def documents() -> Iterator[Path]:
    """Yield the documents that may show figures."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))


def shown(page: Path) -> dict[str, str]:
    """Return the blocks of a document by the names of their figures."""
    return dict(SHOWN.findall(page.read_text("utf-8")))


def quoted(page: Path) -> list[tuple[str, str]]:
    """Return the passages of a document that quote numbers, each with the name of its figure."""
    return QUOTED.findall(page.read_text("utf-8"))


def used() -> set[str]:
    """Return the names of the figures that documents show or quote."""
    pages = [*documents()]
    return {name for page in pages for name in (*shown(page), *(one for one, _ in quoted(page)))}


def render(page: Path) -> None:
    """Write the kept figures into a document."""
    figures, text = kept(), page.read_text("utf-8")

    def replaced(found: re.Match[str]) -> str:
        name = found[1]
        if name not in figures:
            return found[0]
        return f"<!-- figure {name} -->\n\n```\n{block(figures[name])}```\n"

    changed = SHOWN.sub(replaced, text)
    if changed != text:
        page.write_text(changed, "utf-8")


def keep(name: str, figure: dict[str, object]) -> None:
    """Add a figure to ``figures.json``, and the commit that it was measured on."""
    whole = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {"figures": {}}
    head = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(head, cwd=ROOT, check=True, capture_output=True, text=True)
    whole["commit"] = done.stdout.strip()
    whole["figures"][name] = figure
    KEPT.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main() -> None:
    """Measure, keep and render."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [figure.name for figure in FIGURES]
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="small forms, printed and not kept")
    parser.add_argument("--all", action="store_true", help="the long ones too")
    parser.add_argument("--list", action="store_true", help="print the commands and run none")
    parser.add_argument("--render", action="store_true", help="write the kept ones into documents")
    args = parser.parse_args()
    if unknown := {*args.names} - {*names}:
        parser.error(f"no figure {', '.join(sorted(unknown))}: {', '.join(names)}")
    chosen = args.names or [one.name for one in FIGURES if args.all or not one.is_long]
    for figure in FIGURES:
        command = figure.quick if args.quick else figure.command
        if args.list:
            print(f"{figure.name}: python {figure.command}{' (long)' * figure.is_long}")
        elif figure.name not in chosen or not command or args.render:
            continue
        elif lacking := [one for one in FOLDERS if one in command and one not in os.environ]:
            print(f"{figure.name}: left out; set {lacking[0]} to its folder", flush=True)
        else:
            print(f"{figure.name} …", flush=True)
            found = measure(figure, command)
            print(block(found), flush=True)
            if not args.quick and figure.name in used():
                keep(figure.name, found)
    if args.render or not (args.quick or args.list):
        for page in documents():
            render(page)
        growth_picture.draw()


if __name__ == "__main__":
    main()
