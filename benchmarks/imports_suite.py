"""The suite that an import makes of a configuration, and how its run scores fixed replies."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from imports_promptfoo import NAME, Broken, run

from pytest_ftgate.readers.imported_suite import slug

_SUITE, _CASES = f"{NAME}.ftgate.yaml", f"{NAME}.cases.jsonl"
_NOT_DRAWN = "not-drawn"
_JUDGE = """\
import json


def answer(case):
    return json.dumps({{"reason": "a stub", "grade": {grade}}})
"""
#: By id of a case and number of its reply: whether the reply passes, and else why not.
Answers = dict[tuple[str, int], tuple[bool, str]]


class ImportedFile(NamedTuple):
    """What an import ends with: its suite, or None and the outcome; and what it says is lost."""

    suite: Path | None
    outcome: str = ""
    told: str = ""
    notes: tuple[str, ...] = ()


def import_file(config: Path, folder: Path) -> ImportedFile:
    """Import *config* with *folder* as the working folder."""
    suite = config.with_name(_SUITE)
    command = [str(Path(sys.executable).with_name("pytest-ftgate")), "import"]
    command += [str(config.relative_to(folder)), "-o", str(suite.relative_to(folder))]
    told = run(command, folder, {**os.environ}).strip()
    if "Traceback" in told:
        return ImportedFile(None, "crashes", told.splitlines()[-1])
    if not suite.is_file() or "mend these errors" in told:
        return ImportedFile(None, "refused", told[-300:])
    head = suite.read_text("utf-8").splitlines()
    lines = (line[5:].strip() for line in head if line.startswith("#   -"))
    # Without how often each occurs.
    notes = tuple(re.sub(r"^[\d,]+ × ", "", line) for line in lines)
    return ImportedFile(suite, notes=notes)


def read_cases(suite: Path) -> list[dict[str, Any]]:
    """Return the cases of *suite*."""
    text = suite.with_name(_CASES).read_text("utf-8")
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def scored_replies(
    suite: Path, folder: Path, replies: Mapping[str, Sequence[str]], grades: Sequence[str]
) -> dict[str, Answers]:
    """Run *suite* with *replies* by id of the case, once for each of *grades* of its judge.

    A case that *replies* does not name has one reply, so that the suite stays whole; one whose
    list is empty is left out.

    Raises:
        Broken: the run ends without scores.
    """
    rows = [
        ({**case, "id": f"{case['id']}--{number if case['id'] in replies else _NOT_DRAWN}"}, text)
        for case in read_cases(suite)
        for number, text in enumerate(replies.get(case["id"], ("a reply",)))
    ]
    _write(suite.with_name(f"{NAME}_run.jsonl"), (case for case, _ in rows))
    recorded = suite.with_name(f"{NAME}_replies.jsonl")
    _write(recorded, ({"id": case["id"], "text": text} for case, text in rows))
    document = yaml.safe_load(suite.read_text("utf-8"))
    document["cases"] = f"{NAME}_run.jsonl"
    document["variants"] = {"current": {"provider": "recorded", "replies": recorded.name}}
    # What the gates decide is not compared, so that any number of cases does.
    limits = {"min": 0.01, "evidence": "point"}
    document["gates"] = dict.fromkeys(document.get("gates") or (), limits)
    paths = {grade: suite.with_name(f"{NAME}_{grade}.ftgate.yaml") for grade in grades}
    for grade, path in paths.items():
        _set_judge(document, path, grade)
        path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), "utf-8")
    return dict(zip(grades, _answers([*paths.values()], folder), strict=True))


def _write(path: Path, rows: Iterable[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _set_judge(document: Mapping[str, Any], path: Path, grade: str) -> None:
    """Put a function that always gives the best or the worst grade in place of a judge's model."""
    for judge in _judges(document.get("reply")):
        words = judge.get("grades") or {"good": 1, "bad": 0}
        chosen = (max if grade == "pass" else min)(words, key=words.__getitem__)
        module = f"{NAME}_judge_{grade}"
        judge["model"] = {"provider": "python", "function": f"{module}:answer"}
        path.with_name(f"{module}.py").write_text(_JUDGE.format(grade=json.dumps(chosen)), "utf-8")


def _judges(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        judge = value.get("judge")
        if isinstance(judge, dict):
            yield judge
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _judges(one)


def _answers(suites: Sequence[Path], folder: Path) -> Iterator[Answers]:
    """Yield the answers of each suite, after one run of all."""
    first = suites[0]
    record, settings = first.with_name(f"{NAME}.json"), first.with_name(f"{NAME}.ini")
    record.unlink(missing_ok=True)
    settings.write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "pytest_ftgate"]
    command += ["-p", "no:cacheprovider", "-c", str(settings), "--rootdir", str(folder)]
    command += ["--ftgate", *map(str, suites), "--ftgate-json", str(record)]
    command += [f"--ftgate-cache={first.with_name(NAME)}.sqlite"]
    alone = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    told = run(command, folder, {**os.environ, **alone})
    if not record.is_file():
        raise Broken(told[:1500])
    found = {suite["name"]: suite for suite in json.loads(record.read_text("utf-8"))["suites"]}
    for path in suites:
        name = next((name for name in found if name.endswith(path.name)), "")
        answers = dict(_passing(found.get(name, {}).get("cases", ())))
        if not answers or "not evaluated" in told:
            raise Broken(told[:1500])
        yield answers


def _passing(
    cases: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[tuple[str, int], tuple[bool, str]]]:
    for case in cases:
        answer = case["answers"].get("current") or {}
        key, number = case["id"].rsplit("--", 1)
        if answer and number != _NOT_DRAWN and not answer.get("missing"):
            rates = (answer.get("correct"), answer.get("valid"))
            passes = all(rate is None or rate >= 1 for rate in rates)
            why = (answer.get("format_error"), answer.get("content_error"))
            yield (key, int(number)), (passes, " ".join(filter(None, why)))


def matched_cases(
    tests: Sequence[Mapping[str, Any]], cases: Sequence[dict[str, Any]]
) -> list[str | None]:
    """Return the id of the case of each test: by variables, description and place."""
    free = {number: (_values(case), case["id"]) for number, case in enumerate(cases)}
    is_placed = len(cases) == len(tests)
    ids: list[str | None] = []
    for place, test in enumerate(tests):
        wanted = {k: _text(v) for k, v in (test.get("vars") or {}).items() if v not in (None, "")}
        name = slug(str(test.get("description") or ""))
        likeness = {
            number: 2 * (wanted.items() <= values.items())
            + 2 * bool(name and case_id.startswith(name))
            + (is_placed and number == place)
            for number, (values, case_id) in free.items()
        }
        alike = [number for number, like in likeness.items() if like]
        chosen = max(alike, key=lambda n: (likeness[n], -abs(n - place)), default=None)
        ids.append(None if chosen is None else cases[chosen]["id"])
        free.pop(-1 if chosen is None else chosen, None)
    return ids


def _values(case: Mapping[str, Any]) -> dict[str, str]:
    values = case.get("vars") or {"input": case.get("input", "")}
    return {str(key): _text(value) for key, value in values.items()}


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else json.dumps(value, sort_keys=True)
