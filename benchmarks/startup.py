"""What the plugin adds to the start of pytest if it is not used, and what one case imports.

Run it on an idle machine, with the number of pairs as an argument (15 without one), or with "one"
and the number of runs of each kind (5 without one):

    python benchmarks/startup.py [PAIRS]
    python benchmarks/startup.py one [RUNS]

Each pair runs ``python -m pytest -q`` on a project of one empty test, once with the plugin and
once with ``-p no:pytest_ftgate``. The pairs alternate which of the two goes first, so that a
machine that warms up or slows down does not favour either. It prints the median of the paired
differences.

``one`` runs a suite of one case, which a server on loopback answers, in three ways: with the
package as a wheel installs it, as an editable install does, and in a fresh container, where nothing
is compiled and nothing may be written. It prints how many modules of the package are imported, and
the median of their own import time, as a share of that of ``import anthropic`` in the same process:
the speed of the machine cancels out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))

from ftgate_testing.messages_api import serving  # noqa: E402 - the line above finds it

PAIRS, RUNS = 15, 5
WITHOUT = ("-p", "no:pytest_ftgate")
PACKAGE = "pytest_ftgate"
SUITE = """\
cases: [{{id: a, input: hello, expected: ok}}]
variants: {{current: {{provider: anthropic, model: served, base_url: "{url}"}}}}
gates: {{accuracy: {{min: 0.04, evidence: point}}}}
"""
#: A row of ``-X importtime``: microseconds of a module alone, and with all that it imports.
ROW = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|\s+([\w.]+)$", re.MULTILINE)


def seconds(folder: Path, *args: str) -> float:
    """Return the seconds of one run."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args]
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=_environment(), check=True, capture_output=True)
    return time.perf_counter() - start


def _environment() -> dict[str, str]:
    # Without bytecode every run would compile the plugin anew, which no user's does.
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def pair(folder: Path, *, swapped: bool) -> tuple[float, float]:
    """Return the time with the plugin and the time without it, taken one after the other."""
    if swapped:
        without = seconds(folder, *WITHOUT)
        return seconds(folder), without
    return seconds(folder), seconds(folder, *WITHOUT)


def unused(pairs: int) -> None:
    """Measure the pairs and print the results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text("def test_it(): pass\n")
        pair(folder, swapped=False)  # the first runs write bytecode
        taken = [pair(folder, swapped=bool(number % 2)) for number in range(pairs)]
    added = median(active - without for active, without in taken)
    without = median(without for _, without in taken)
    print(f"pytest without the plugin: {without * 1000:.0f} ms, median of {pairs} runs")
    print(f"the plugin adds {added * 1000:+.1f} ms ({added / without:+.1%}), median of the pairs")


def install(folder: Path) -> Path:
    """Build the wheel into *folder*, install it there, and return the folder of packages."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    site, (wheel,) = folder / "site", folder.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    return site


def imported(folder: Path, site: Path, **more: str) -> tuple[float, int]:
    """Run the suite in *folder* with the package in *site*; return the share and the modules."""
    command = [sys.executable, "-X", "importtime", "-m", "pytest", "--ftgate", "-s"]
    options = ["-p", "no:cacheprovider", "--ftgate-inconclusive=warn", "--ftgate-replies=fresh"]
    environment = _environment() | {"PYTHONPATH": str(site), **more}
    run = subprocess.run(
        [*command, *options],
        cwd=folder,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    rows = {name: (int(alone), int(whole)) for alone, whole, name in ROW.findall(run.stderr)}
    if run.returncode or "anthropic" not in rows:
        sys.exit(run.stdout + run.stderr[-2000:])
    own = {name: alone for name, (alone, _) in rows.items() if name.split(".")[0] == PACKAGE}
    modules = [name for name in own if not Path(site, *name.split(".")).is_dir()]
    return sum(own.values()) / rows["anthropic"][1], len(modules)


def one(runs: int) -> None:
    """Run one case with each kind of installation in turn, and print the results."""
    with tempfile.TemporaryDirectory() as name, serving() as api:
        folder = Path(name)
        (folder / "project").mkdir()
        (folder / "project" / "one.ftgate.yaml").write_text(SUITE.format(url=api.url))
        site = install(folder)
        bare = folder / "bare"
        shutil.copytree(site, bare, ignore=shutil.ignore_patterns("__pycache__"))
        kinds: dict[str, tuple[Path, dict[str, str]]] = {
            "wheel": (site, {}),
            "editable install": (ROOT, {}),
            "fresh container": (bare, {"PYTHONDONTWRITEBYTECODE": "1"}),
        }
        taken: dict[str, list[tuple[float, int]]] = {kind: [] for kind in kinds}
        for number in range(runs + 1):
            for kind, (packages, more) in kinds.items():
                found = imported(folder / "project", packages, **more)
                taken[kind] += [found] if number else []  # the first runs write bytecode
    for kind, runs_of_kind in taken.items():
        share = median(share for share, _ in runs_of_kind)
        modules = max(count for _, count in runs_of_kind)
        print(f"{kind}: {modules} modules, {share:.2f} x import anthropic, median of {runs} runs")


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        one(int(sys.argv[2]) if len(sys.argv) > 2 else RUNS)
    else:
        unused(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)
