"""Compare the run records that two versions of this package make of the same suites and replies.

    python benchmarks/same_results.py OLD_PYTHON NEW_PYTHON FOLDER... [--replies FILE]

Each FOLDER (or OLD_FOLDER=NEW_FOLDER if the suites themselves changed) is copied. The old version
fills its reply file and makes a record; the new version makes one from the same replies. Values
must be equal, and numbers to eight digits, since searches end at rounding. Names of keys may differ
and are printed; keys may be added. Sentences must have equal numbers. Exits with 1 if anything else
differs, or if the new version sends a request.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Where both versions keep replies.
REPLIES = ".ftgate/cache.sqlite"
#: Keys whose values change from run to run.
VOLATILE = re.compile(
    r"^(at|seconds|duration|format|facts|.*_ms|used|requested|asked|cached|spared|schema)$"
)
#: New names of keys, by their name in the record of 0.1.0.
RENAMED = {
    "against": ("compared_with",),
    "asked": ("input", "sent"),
    "asking": ("requests",),
    "asks": ("case_set",),
    "bill": ("cost",),
    "called": ("tool_calls",),
    "called_before": ("tool_calls_before",),
    "debt": ("coverage_gaps",),
    "fault": ("format_error", "error"),
    "faults": ("format_errors",),
    "floor": ("minimum",),
    "form": ("format",),
    "form_high": ("format_high",),
    "form_low": ("format_low",),
    "gained": ("fixed",),
    "gains": ("fixed",),
    "judged": ("gated",),
    "kinds": ("loss_kinds",),
    "losses": ("regressed",),
    "lost": ("regressed",),
    "meant": ("lenient",),
    "meant_before": ("lenient_before",),
    "said": ("text",),
    "spared": ("skipped",),
    "told": ("message", "notes"),
    "traits": ("drifts",),
    "unjudged": ("not_evaluated",),
    "used": ("replies",),
    "where": ("location",),
    "why": ("reason",),
    "wrong": ("content_error",),
}
#: Where a record of format 4 has what a variant of an older one kept under a key of its own.
FIGURES = {
    "accuracy": "accuracy",
    "format": "format",
    "usd_per_1k": "usd_per_1k",
    "tokens": "tokens",
    "p50_ms": "p50",
    "p95_ms": "p95",
}
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
#: Temporary folders of pytest, and lines of the package itself.
TEMPORARY = re.compile(r"pytest-of-\w+/pytest-\d+|\S+/pytest_ftgate/\S+:\d+")


@dataclass
class Comparison:
    """What two records have in common."""

    equal: int = 0
    sentences: int = 0
    renamed: set[tuple[str, str]] = field(default_factory=set)
    differences: list[str] = field(default_factory=list)

    def compare(self, old: Any, new: Any, where: str = "") -> None:
        """Compare two values of JSON, and all that is in them."""
        if isinstance(old, dict) and isinstance(new, dict):
            new = with_old_figures(old, new)
            for old_key, new_key in self._pairs(old, new, where):
                if not VOLATILE.match(new_key) or isinstance(new[new_key], dict | list):
                    self.compare(old[old_key], new[new_key], f"{where}.{new_key}")
        elif isinstance(old, list) and isinstance(new, list):
            if len(old) != len(new):
                self.differences.append(f"{where}: {len(old)} values, then {len(new)}")
            for number, (before, after) in enumerate(zip(old, new, strict=False)):
                self.compare(before, after, f"{where}[{number}]")
        elif old == new or is_close(old, new):
            self.equal += 1
        elif isinstance(old, str) and numbers(old) == numbers(text_of(new)):
            self.sentences += 1
        else:
            self.differences.append(f"{where}: {old!r}, then {new!r}")

    def _pairs(
        self, old: dict[str, Any], new: dict[str, Any], where: str
    ) -> Iterator[tuple[str, str]]:
        """Yield each old key with its new name; keys that only the new record has are added."""
        for key in old:
            names = [name for name in (key, *RENAMED.get(key, ())) if name in new]
            if not names:
                self.differences.append(f"{where}: {key} is gone")
                continue
            if names[0] != key:
                self.renamed.add((key, names[0]))
            yield key, names[0]


def with_old_figures(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return *new* with its figures under the keys that *old* has them under, if there are any."""
    if "figures" in old or not isinstance(new.get("figures"), dict):
        return new
    figures, moved = new["figures"], dict[str, Any]()
    for key, name in FIGURES.items():
        figure, before = figures.get(name, {}), old.get(key)
        if isinstance(before, dict):
            moved[key] = {part: figure.get(part) for part in before}
        else:
            moved[key] = figure.get("value")
    return {**new, **moved}


def is_close(old: Any, new: Any) -> bool:
    """Return True if both are numbers that are equal to eight digits."""
    both = isinstance(old, float) and isinstance(new, float)
    return both and math.isclose(old, new, rel_tol=1e-8, abs_tol=1e-12)


def text_of(value: Any) -> str:
    """Return a sentence, or the sentence and the command of a step."""
    step = isinstance(value, dict) and "text" in value
    return f"{value['text']} {value['command']}" if step else str(value)


def numbers(sentence: str) -> list[str]:
    """Return the numbers in *sentence*."""
    return NUMBER.findall(TEMPORARY.sub("", sentence))


def record(python: str, folder: Path, *args: str) -> dict[str, Any]:
    """Run the suites of *folder*, and return their run record."""
    out = folder.parent / "record.json"
    out.unlink(missing_ok=True)
    command = [python, "-m", "pytest", "--ftgate", f"--ftgate-json={out}", "-p", "no:cacheprovider"]
    command += ["-p", "no:randomly"]  # the verdicts of both records in one order
    ran = subprocess.run([*command, *args], cwd=folder, capture_output=True, text=True, check=False)
    if not out.exists():
        return {"failed": re.findall(r"\d+ \w+", ran.stdout.splitlines()[-1] if ran.stdout else "")}
    found: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return found


def prepared(folder: Path, at: Path) -> Path:
    """Copy *folder* as a project of its own."""
    shutil.copytree(folder, at, ignore=shutil.ignore_patterns("__pycache__", ".ftgate", ".venv"))
    (at / "pytest.ini").write_text("[pytest]\n", "utf-8")
    return at


def compared(
    pythons: tuple[str, str], folders: tuple[Path, Path], replies: Path | None
) -> Comparison:
    """Make both records on the same replies, and compare them."""
    with tempfile.TemporaryDirectory() as name:
        old = prepared(folders[0], Path(name) / "old" / "suites")
        new = prepared(folders[1], Path(name) / "new" / "suites")
        if replies:
            (old / REPLIES).parent.mkdir()
            shutil.copy(replies, old / REPLIES)
        record(pythons[0], old)
        before = record(pythons[0], old)
        stored = (old / REPLIES).exists()
        if stored:
            (new / REPLIES).parent.mkdir(exist_ok=True)
            shutil.copy(old / REPLIES, new / REPLIES)
        after = record(pythons[1], new)
    comparison = Comparison()
    comparison.compare(before, after)
    sent = after.get("requests", {}).get("sent", 0)
    if sent and stored:
        comparison.differences.append(f"the new version sent {sent} requests")
    return comparison


def main() -> int:
    """Compare every folder, and print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--replies", type=Path, help="replies that the old version starts with")
    args = parser.parse_args()
    renamed, worst = set[tuple[str, str]](), 0
    for pair in args.folders:
        old, _, new = pair.partition("=")
        pythons = (str(Path(args.old).absolute()), str(Path(args.new).absolute()))
        found = compared(pythons, (Path(old), Path(new or old)), args.replies)
        renamed |= found.renamed
        print(
            f"{new or old}: {found.equal:,} equal, {found.sentences:,} reworded, "
            f"{len(found.differences)} different"
        )
        for line in found.differences[:10]:
            print(f"  {line[:200]}")
        worst = worst or bool(found.differences)
    print("renamed:", ", ".join(f"{old} → {new}" for old, new in sorted(renamed)) or "nothing")
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
