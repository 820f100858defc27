"""How imported configurations of promptfoo judge replies, beside promptfoo itself.

    python benchmarks/imports.py FOLDER --promptfoo PATH [--node PATH] [--list FILE] [PART ...]

FOLDER has one folder for each repository. Every configuration below it is taken whose path
contains ``promptfoo``, or one PART; or those that FILE lists, one path below FOLDER a line. PATH is
the folder into which ``npm install promptfoo`` was run.

For each configuration promptfoo itself reads the tests. Replies are drawn from what the assertions
of a test name: the wanted texts, near misses, another case, JSON and an empty reply. promptfoo
judges each reply to each test, with stubs as models and graders. ``pytest-ftgate import`` makes a
suite of the same file, whose run scores the same replies, with a stub as its judge. A reply
passes there if it is right and its formats hold. Where graders are asked, they first pass
everything, and then fail everything. ``latency`` and ``cost`` are not compared: a stub has neither.

No request leaves the machine for a model. The code of assertions runs as it does in promptfoo: take
configurations that you trust, or a container without a network. Files whose names contain
``ftgate_check`` are written beside each configuration, and removed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from imports_promptfoo import (
    COMPARISONS,
    NAME,
    Broken,
    NoJudgement,
    Promptfoo,
    failing_kinds,
    is_error,
    judged_replies,
    read_tests,
    reason,
)
from imports_suite import Answers, import_file, matched_cases, read_cases, scored_replies

#: The most tests of one configuration, drawn evenly.
MOST_TESTS = 24
#: Parts of the types of assertions that a model grades.
GRADED = ("llm-rubric", "g-eval", "factuality", "model-graded", "closedqa")
#: What every suite does with a reply, and the part of a note that says so.
GUARDS = ("a blank reply", "the question again", "outer white space")
_GUARDS_SAID = ("outer white space", "must only not be empty")
#: What a function says that the import leaves to be filled in.
_STUB = "fill me in"
MEANINGS = {
    "same": "runs, and every reply passes or fails as in promptfoo",
    "guards": "the same but for blank replies, the question again and outer space, as it says",
    "stubs": "runs once the functions are filled in that the import names",
    "said": "runs; every difference is one that the import names",
    "differs": "runs; replies pass or fail otherwise, and the import does not say so",
    "blocked": "is imported, but a run of the suite gives no scores",
    "refused": "refused, with the reason",
    "crashes": "ends in a traceback",
}
#: promptfoo itself cannot read the file or judge its replies here: it counts for neither.
UNJUDGED = "unjudged"


@dataclass(slots=True)
class Found:
    """What one configuration came to.

    Attributes:
        tests, pairs: how many tests it has, and how many replies to tests were compared.
        passes, different: of those, how many pass in promptfoo, and how many in one tool alone.
        errors: how many replies promptfoo could not judge here.
        said, silent: each kind of difference that the import names, or does not, with how often.
        notes: what the import says is lost or different.
        why: why there is no comparison.
        examples: a few replies that are judged otherwise, for those who mend the import.
    """

    path: str
    outcome: str = UNJUDGED
    tests: int = 0
    pairs: int = 0
    passes: int = 0
    different: int = 0
    errors: int = 0
    said: dict[str, int] = field(default_factory=dict)
    silent: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    why: str = ""
    examples: list[Any] = field(default_factory=list)

    def names(self, kind: str) -> bool:
        """Return True if the import says that assertions of *kind* are lost or different."""
        return any(f"assertion {kind}" in note or note.startswith(kind) for note in self.notes)

    def add(self, kind: str, *, is_said: bool) -> None:
        """Count one difference."""
        counts = self.said if is_said else self.silent
        counts[kind] = counts.get(kind, 0) + 1


def compared(tool: Promptfoo, config: Path, folder: Path) -> Found:
    """Return what *config* of the repository *folder* comes to."""
    found = Found(str(config.relative_to(folder.parent)))
    try:
        tests = read_tests(tool, config, yaml.safe_load(config.read_text("utf-8")))
    except (NoJudgement, yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        found.why = f"promptfoo: {error}"[:600]
        return found
    made = import_file(config, folder)
    if made.suite is None:
        found.outcome, found.why = made.outcome, made.told
        return found
    found.tests, found.notes = len(tests), made.notes
    try:
        _compare(tool, config, folder, tests, found)
    except NoJudgement as error:
        found.why = f"promptfoo: {error}"[:600]
    except Broken as error:
        found.why = str(error)
        found.outcome = "crashes" if "Traceback" in found.why else "blocked"
        found.outcome = "stubs" if _STUB in found.why else found.outcome
    return found


def _compare(
    tool: Promptfoo, config: Path, folder: Path, tests: Sequence[Mapping[str, Any]], found: Found
) -> None:
    suite = config.with_name(f"{NAME}.ftgate.yaml")
    ids = matched_cases(tests, read_cases(suite))
    for _ in range(ids.count(None)):
        found.add("a test without a case", is_said=any("test" in note for note in found.notes))
    written = json.dumps(tests) + config.read_text("utf-8")
    for kind in COMPARISONS:
        if f"type: {kind}" in written:
            found.add(kind, is_said=found.names(kind))
    # Evenly drawn, and never more than the most.
    step = max(1, -(-len(tests) // MOST_TESTS))
    drawn = [n for n in range(0, len(tests), step) if ids[n] is not None]
    kept = [(str(ids[n]), tests[n]) for n in drawn]
    grades = ("pass", "fail") if any(part in written for part in GRADED) else ("pass",)
    judged = {
        grade: [*judged_replies(tool, config, [test for _, test in kept], grade)]
        for grade in grades
    }
    # A test that ends in an error with any reply lacks something here: a key, or a package.
    judgeable = {n for n, _, result in judged["pass"] if not is_error(result)}
    replies = {case: list[str]() for case, _ in kept}
    for n, reply, _ in judged["pass"]:
        if n in judgeable:
            replies[kept[n][0]].append(reply)
        else:
            found.errors += 1
    if judgeable:
        for grade, answers in scored_replies(suite, folder, replies, grades).items():
            some = [one for one in judged[grade] if one[0] in judgeable]
            _count(found, kept, some, answers)
    found.outcome = _outcome(found)


def _count(
    found: Found,
    kept: Sequence[tuple[str, Mapping[str, Any]]],
    judged: Sequence[tuple[int, str, Mapping[str, Any]]],
    answers: Answers,
) -> None:
    """Count where promptfoo's results and the *answers* of the suite agree."""
    places = Counter[int]()
    for n, reply, result in judged:
        case, test = kept[n]
        ours = answers.get((case, places[n]))
        places[n] += 1
        theirs = bool(result.get("success"))
        found.pairs += 1
        found.passes += theirs
        if ours is None or ours[0] != theirs:
            _add_difference(found, test, reply, result, ours)


def _add_difference(
    found: Found,
    test: Mapping[str, Any],
    reply: str,
    result: Mapping[str, Any],
    ours: tuple[bool, str] | None,
) -> None:
    theirs = bool(result.get("success"))
    found.different += 1
    kinds = sorted({*failing_kinds(result)})
    if theirs or ours is None:
        types = {str(one.get("type")) for one in test.get("assert") or ()}
        kinds = [f"{'no score' if ours is None else 'stricter'}: {', '.join(sorted(types))}"]
    is_said = not theirs and ours is not None and all(map(found.names, kinds))
    if guard := _guard(reply, ours):
        kinds, is_said = [guard], any(part in note for note in found.notes for part in _GUARDS_SAID)
    found.add(", ".join(kinds), is_said=is_said)
    if not is_said and len(found.examples) < 8:
        shown = {"assert": test.get("assert"), "vars": test.get("vars"), "reply": reply[:400]}
        told = {"promptfoo": theirs, "because": reason(result)[:300], "ours": ours}
        found.examples.append({**shown, **told})


def _guard(reply: str, ours: tuple[bool, str] | None) -> str:
    """Return which guard of every suite explains a difference, or ""."""
    if ours is None:
        return ""
    if not reply.strip():
        return GUARDS[0]
    if "repeats the question" in ours[1]:
        return GUARDS[1]
    return GUARDS[2] if reply != reply.strip() else ""


def _outcome(found: Found) -> str:
    if found.silent:
        return "differs"
    if found.errors and not found.pairs:
        found.why = f"promptfoo cannot judge here: {found.errors} replies"
        return UNJUDGED
    if found.said.keys() - {*GUARDS}:
        return "said"
    return "guards" if found.said else "same"


# The table ----------------------------------------------------------------------------------------


def configurations(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield each configuration below *folder* whose path contains one of *parts*."""
    for path in sorted(folder.rglob("*")):
        inside = str(path.relative_to(folder))
        is_read = path.suffix in (".yaml", ".yml", ".json") and "node_modules" not in path.parts
        if not is_read or NAME in path.name or not any(part in inside for part in parts):
            continue
        try:
            document = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        names = document.keys() if isinstance(document, dict) else set[str]()
        if {"prompts", "providers", "targets"} & names and {"tests", "scenarios"} & names:
            yield path


def shares(found: Sequence[Found]) -> Iterator[str]:
    """Yield a table: each outcome by configuration, and with one voice for each repository."""
    judged = [one for one in found if one.outcome != UNJUDGED]
    by_repository = defaultdict[str, list[str]](list)
    for one in judged:
        by_repository[Path(one.path).parts[0]].append(one.outcome)
    count, voices = max(len(judged), 1), max(len(by_repository), 1)
    yield f"{'outcome':9}{'configurations':>17}{'repositories':>17}"
    for outcome, meaning in MEANINGS.items():
        files = sum(one.outcome == outcome for one in judged)
        weight = sum(some.count(outcome) / len(some) for some in by_repository.values())
        cells = f"{files} ({files / count:.0%})", f"{weight:.1f} ({weight / voices:.0%})"
        yield f"{outcome:9}{cells[0]:>17}{cells[1]:>17}   {meaning}"
    yield f"{len(judged)} configurations of {len(by_repository)} repositories"
    pairs, passes = sum(one.pairs for one in judged), sum(one.passes for one in judged)
    different = sum(one.different for one in judged)
    mixed = sum(0 < one.passes < one.pairs for one in judged)
    yield f"{pairs:,} replies compared: {passes:,} pass in promptfoo, {different:,} differ here"
    yield f"{mixed} configurations have replies that pass and replies that fail in promptfoo"
    left_out = len(found) - len(judged)
    yield f"{left_out} left out: promptfoo itself cannot read or judge them here"


def line(found: Found) -> str:
    """Return one line on a configuration."""
    counts = [(n, f"said: {kind}") for kind, n in found.said.items()]
    counts += [(n, kind) for kind, n in found.silent.items()]
    kinds = "; ".join(f"{n} × {kind}" for n, kind in sorted(counts, reverse=True)[:3])
    numbers = f"{found.different} of {found.pairs}"
    why = " ".join(found.why.split())[:200]
    return f"{found.outcome:9}{numbers:>13}  {found.path}  {kinds}{why}"


def cleaned(folder: Path) -> None:
    """Remove what was written into *folder*."""
    for path in (*folder.glob(f"*{NAME}*"), *folder.glob(f".{NAME}*")):
        path.unlink(missing_ok=True)


def listed(folder: Path, given: argparse.Namespace) -> Iterable[Path]:
    """Return the wanted configurations."""
    if given.list:
        lines = given.list.read_text("utf-8").split("\n")
        return [folder / one.strip() for one in lines if one.strip()]
    return configurations(folder, given.parts or ("promptfoo",))


def main() -> None:
    """Compare all configurations and print the table."""
    parser = argparse.ArgumentParser(description="Imported configurations beside promptfoo.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--promptfoo", type=Path, required=True, metavar="PATH")
    parser.add_argument("--node", default="node", help="default: %(default)s")
    parser.add_argument("--list", type=Path, metavar="FILE")
    parser.add_argument(
        "--kept", type=Path, help="keep promptfoo's results there for the next time"
    )
    parser.add_argument("--out", type=Path, help="write what each came to there, as JSON")
    given = parser.parse_intermixed_args()
    folder, found = given.folder.resolve(), list[Found]()
    with tempfile.TemporaryDirectory() as scratch:
        kept = (given.kept or Path(scratch) / "kept").resolve()
        kept.mkdir(parents=True, exist_ok=True)
        tool = Promptfoo(given.node, given.promptfoo.resolve(), Path(scratch), kept)
        for config in listed(folder, given):
            cleaned(config.parent)
            try:
                repository = folder / config.relative_to(folder).parts[0]
                found.append(compared(tool, config, repository))
            finally:
                cleaned(config.parent)
            print(line(found[-1]), flush=True)
            if given.out:
                rows = [asdict(one) for one in found]
                given.out.write_text(json.dumps(rows, indent=1, default=str), "utf-8")
    print("", *shares(found), sep="\n")


if __name__ == "__main__":
    main()
