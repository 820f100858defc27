"""The time of the first run of each example that the README starts with, and of the run after it.

    python benchmarks/first_run.py

Runs ``examples/tickets`` and then ``examples/ladder`` as the README says, in one new cache, and
then both again. Printed are the time of each process, and what its last lines say. The weights of
the embedded model must be there (``pytest-ftgate download smollm2-135m``).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = {
    "examples/tickets": (),
    "examples/ladder": ("--ftgate-ladder",),
}
#: The lines of the end of a run that say how many replies it took.
REPLIES = re.compile(r"^([\d,]+) replies: ([\d,]+) cached, ([\d,]+) requested", re.MULTILINE)


def run(folder: str, options: tuple[str, ...], cache: Path) -> str:
    """Run an example, and return its time, its requests and its end, in one line."""
    command = [sys.executable, "-m", "pytest", "--ftgate", *options, f"--ftgate-cache={cache}"]
    start = time.perf_counter()
    done = subprocess.run([*command, folder], cwd=ROOT, capture_output=True, text=True, check=False)
    minutes, seconds = divmod(round(time.perf_counter() - start), 60)
    counted = REPLIES.search(done.stdout)
    if counted is None:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-1000:])
    ending = re.sub(r"[= ]*(\d.*?) in .*", r"\1", done.stdout.splitlines()[-1])
    return f"{minutes}:{seconds:02}  {counted[3]:>5} requests  {ending}"


def main() -> None:
    """Run the examples twice."""
    with tempfile.TemporaryDirectory() as name:
        for turn in ("first", "second"):
            for folder, options in RUNS.items():
                found = run(folder, options, Path(name) / "cache.sqlite")
                print(f"{folder:17} {turn:7} {found}", flush=True)


if __name__ == "__main__":
    main()
