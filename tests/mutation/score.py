"""Measure which mutants of a room its tests catch: ``score.py [--seconds N] ROOM ...``.

A room is mutated by mutmut in a copy of the repository, ``.nightly/mutation/ROOM``, and tried by
`trials.py`. A run that is cut off goes on where it stopped, and tries those again that survived.
Mutants that no test can catch, since they behave the same, stand in ``equal.txt`` with the reason,
and count neither as caught nor as missed; so do those that change the type of a `cast` alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ROOT / ".nightly/mutation"
EQUAL = Path(__file__).with_name("equal.txt")
#: The share of the mutants that tests must catch.
LIMIT = 0.9
#: Exit codes of a mutant that tests caught, by a failure, the limit of its time, or an alarm.
CAUGHT = (1, -24, -14)
SURVIVED, UNTESTED = 0, 33
#: The type that a value is cast to, which does nothing when the code runs.
CAST_TYPE = re.compile(r'cast\((?:"[^"]*"|None), ')
#: Makes the mutants, as ``mutmut run`` does before it runs the tests.
MAKE = """
from pathlib import Path
from mutmut.__main__ import copy_also_copy_files, copy_src_dir, create_mutants
Path("mutants").mkdir(exist_ok=True)
copy_src_dir()
copy_also_copy_files()
create_mutants(1)
"""


@dataclass(frozen=True, slots=True)
class Room:
    """What is mutated, by patterns of paths below the package, and the tests that must notice.

    Attributes:
        sample: how many of its mutants are drawn at random; None for all.
    """

    files: tuple[str, ...]
    tests: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    sample: int | None = None


ROOMS = {
    "stats": Room(("stats/*",), ("tests/stats",)),
    "checks": Room(("gates/checks.py",), ("tests/gates/test_checks_*.py",)),
    "gates": Room(("gates/*",), ("tests/gates",), ("gates/checks.py",), sample=200),
    "scoring": Room(("scoring/*",), ("tests/scoring",), sample=200),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=", ".join(ROOMS))
    parser.add_argument("--seconds", type=int, help="the most time for each room")
    parser.add_argument("--sample", type=int, help="how many mutants of each room, at random")
    parser.add_argument("--seed", type=int, default=1, help="of the random sample")
    chosen = parser.parse_args()
    low = []
    for name in chosen.rooms or ROOMS:
        room = ROOMS[name]
        folder = FOLDERS / name
        copy_repository(folder, room)
        names = sampled(made_mutants(folder, room), chosen.sample or room.sample, chosen.seed)
        # Tests may have come that catch what survived.
        found = results(folder)
        left = [mutant for mutant in names if found[mutant] in (None, SURVIVED, UNTESTED)]
        if left:
            try_mutants(folder, room, left, chosen.seconds)
        if not report(name, folder, names):
            low.append(name)
    return bool(low)


def copy_repository(folder: Path, room: Room) -> None:
    """Bring the copy in *folder* to the state of the repository, set up to mutate *room*."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for path in map(Path, listed.stdout.splitlines()):
        source, target = ROOT / path, folder / path
        if not source.is_file() or path.name == "pyproject.toml":
            continue
        if not target.is_file() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    config = (ROOT / "pyproject.toml").read_text("utf-8")
    lines = (
        'source_paths = ["pytest_ftgate"]',
        f"only_mutate = {[f'pytest_ftgate/{name}' for name in room.files]}",
        f"do_not_mutate = {[f'pytest_ftgate/{name}' for name in room.left_out]}",
        'also_copy = ["docs", "examples", "README.md"]',
    )
    table = "\n".join(("[tool.mutmut]", *lines, ""))
    (folder / "pyproject.toml").write_text(f"{config}\n{table}", "utf-8")


def made_mutants(folder: Path, room: Room) -> list[str]:
    """Make the mutants of *room* in *folder*, and return their names."""
    with (folder / "mutmut.log").open("wb") as log:
        command = [sys.executable, "-c", MAKE]
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=False)
    found = sorted(results(folder))
    if not found:
        raise SystemExit(f"mutmut made no mutants of {room.files}: see {folder / 'mutmut.log'}")
    return found


def try_mutants(folder: Path, room: Room, names: list[str], seconds: int | None = None) -> None:
    """Try the mutants *names* for at most *seconds*; what is found stands in *folder*."""
    (folder / "names.txt").write_text("\n".join(names), "utf-8")
    command = [sys.executable, folder / "tests/mutation/trials.py", folder, folder / "names.txt"]
    environ = {**os.environ, "PYTHONPATH": str(folder / "mutants")}
    with (folder / "trials.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, *tests_of(room)],
            cwd=folder / "mutants", env=environ, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            process.wait()
    if process.returncode not in (0, 2):
        raise SystemExit(f"the tests do not run: see {folder / 'trials.log'}")
    if (folder / "failing.txt").is_file():
        for test in (folder / "failing.txt").read_text("utf-8").splitlines():
            print(f"  left out, since it fails without a mutant: {test}")


def tests_of(room: Room) -> list[str]:
    return [str(path.relative_to(ROOT)) for name in room.tests for path in sorted(ROOT.glob(name))]


def results(folder: Path) -> dict[str, int | None]:
    """Return the exit code of each mutant, None for those that did not run yet."""
    codes: dict[str, int | None] = {}
    mutants = folder / "mutants"
    for path in sorted((mutants / "pytest_ftgate").rglob("*.py.meta")):
        if not (ROOT / path.relative_to(mutants)).with_suffix("").is_file():
            continue  # of a file that has another name now
        codes |= json.loads(path.read_text("utf-8"))["exit_code_by_key"]
    return codes


def sampled(names: list[str], size: int | None, seed: int) -> list[str]:
    if size is None or size >= len(names):
        return names
    return sorted(random.Random(seed).sample(names, size))


def report(name: str, folder: Path, names: list[str]) -> bool:
    """Print the score of a room and what its tests miss; return True if it reaches the limit."""
    codes = {mutant: code for mutant, code in results(folder).items() if mutant in {*names}}
    checked = {mutant: code for mutant, code in codes.items() if code is not None}
    changes = {
        mutant: change_of(folder, mutant)
        for mutant, code in checked.items()
        if code in (SURVIVED, UNTESTED)
    }
    known = {*equal_mutants()}
    equal = [
        mutant for mutant, change in changes.items() if change in known or is_of_cast_alone(change)
    ]
    missed = [mutant for mutant in changes if mutant not in equal]
    caught = sum(code in CAUGHT for code in checked.values())
    score = caught / max(1, caught + len(missed))
    print(
        f"{name}: {len(checked):,} of {len(names):,} mutants checked, of {len(results(folder)):,}; "
        f"{len(equal)} are equal, {caught:,} of the other {caught + len(missed):,} caught: "
        f"{score:.1%}",
        flush=True,
    )
    others = {mutant: code for mutant, code in checked.items() if mutant not in changes}
    for mutant in (mutant for mutant, code in others.items() if code not in CAUGHT):
        print(f"  {mutant}: exit code {others[mutant]}, not counted")
    for mutant in missed:
        print(f"  {changes[mutant]}")
    return score >= LIMIT


def is_of_cast_alone(change: str) -> bool:
    """Return True if the lines before and after differ in the type of a `cast` alone."""
    before, _, after = CAST_TYPE.sub("", change.partition(": ")[2]).partition(" -> ")
    return before == after


def change_of(folder: Path, mutant: str) -> str:
    """Return the module, the function and the changed lines of a mutant, in one line."""
    code = f"from mutmut.mutation.diff_apply import get_diff_for_mutant as d; print(d({mutant!r}))"
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    lines = shown.splitlines()[2:]
    old, new = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    module, _, function = mutant.rpartition(".")
    owner = re.sub(r"^x_|__mutmut_\d+$", "", function).replace("xǁ", "").replace("ǁ", ".")
    return f"{module.removeprefix('pytest_ftgate.')} {owner}: {old} -> {new}"


def equal_mutants() -> Iterator[str]:
    """Yield the changes of `EQUAL`: each stands in a line, and the reason in the next ones."""
    for line in EQUAL.read_text("utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            yield line


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    raise SystemExit(main())
