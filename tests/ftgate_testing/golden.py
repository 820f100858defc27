"""Golden screens: what whole projects print and write, as files that a change must leave equal.

``PYTHONPATH=tests python -m ftgate_testing.golden [NAME ...]`` writes them into ``tests/golden``,
and `tests/golden/test_golden.py` holds them equal. A project is run by a user's command, so that
its files say nothing of how the package is cut.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ftgate_testing.answer_files import answer_rows
from ftgate_testing.bounded import Copier
from ftgate_testing.canary import KEY_NAMES
from ftgate_testing.ended_runs import ANSWERS, DOWN, LABELS, Replies, Row, missing, tickets, wrong
from ftgate_testing.judge_suites import JUDGE

FOLDER = Path(__file__).parents[1] / "golden"
SKILLS = Path(__file__).parents[1] / "skills"
#: The files that a run writes, and what they are called here.
FACES = {"run.json": "run.json", "run.md": "report.md", "run.html": "page.txt"}
RUN = ("--ftgate", "--ftgate-json=run.json", "--ftgate-markdown=run.md", "--ftgate-html=run.html")
#: The environment of every run: no colour, 80 columns, no CI, no key.
ENVIRON = {"COLUMNS": "80", "NO_COLOR": "1", "TZ": "UTC", "CI": "", "GITHUB_ACTIONS": ""}
#: What differs from run to run, or from machine to machine, and what stands in its place.
UNSTEADY = (
    (r"\b\d{4}-\d\d-\d\dT[\d:.]+(?:\+00:00|Z)?", "<time>"),
    (r"\b20\d\d-\d\d-\d\d\b(?: \d\d:\d\d)?", "<date>"),
    (r"\bin \d+\.\d\ds\b", "in <seconds>"),
    (r"\bin \d+:\d\d\b", "in <minutes>"),
    (r'("(?:seconds|duration|cpu_seconds)": )[\d.e-]+', r"\1<seconds>"),
    (r"\bwrote (\S+) \([\d.,]+ \w+\)", r"wrote \1 (<size>)"),
    (r'("(?:version|python|pytest|host|platform)": )"[^"]*"', r'\1"<version>"'),
    (r"\bpytest-ftgate \d+\.\d+\.\d+\S*", "pytest-ftgate <version>"),
    (r"=+ (.*? in <seconds>.*?) =+", r"== \1 =="),
    (r"(?m)^(platform|plugins|rootdir|cachedir|configfile).*\n", ""),
)


@dataclass(frozen=True, slots=True)
class Project:
    """A folder of files, and the commands that are run in it, one after the other.

    Attributes:
        files: their texts by name.
        steps: for each command the files that are written before it, and its words: those of
            ``compare`` or of pytest. The screens are those of the last one.
    """

    files: Mapping[str, str]
    steps: tuple[tuple[Mapping[str, str], tuple[str, ...]], ...] = (({}, ()),)


def _lines(rows: list[Row]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def _recorded(cases: list[Row], said: Replies) -> str:
    told = ((row["id"], said(n)) for n, row in enumerate(cases))
    return _lines([
        {"id": key, **({"text": one} if isinstance(one, str) else one)}
        for key, some in told if some is not None
        for one in (some if isinstance(some, list) else [some])
    ])  # fmt: skip


def suite(
    gates: str,
    cases: list[Row] | int = 60,
    *words: str,
    head: str = f"reply: {{format: {{choice: [{', '.join(LABELS)}]}}}}",
    more: Mapping[str, str] = {},
    files: Mapping[str, str] = {},
    **replies: Replies,
) -> Project:
    """Return a project with one suite of tickets, whose replies are recorded by variant."""
    rows = tickets(cases) if isinstance(cases, int) else cases
    recorded = {f"{name}.jsonl": _recorded(rows, said) for name, said in replies.items()}
    variants = "".join(
        f"  {name}: {{provider: recorded, replies: {name}.jsonl{more.get(name, '')}}}\n"
        for name in replies
    )
    asked = "".join(f"  {name}: {keys}\n" for name, keys in more.items() if name not in replies)
    text = f"cases: cases.jsonl\n{head}\nvariants:\n{variants}{asked}gates:\n"
    text += "".join(f"  {line}\n" for line in gates.splitlines())
    named = {"s.ftgate.yaml": text, "cases.jsonl": _lines(rows), **recorded, **files}
    return Project(named, (({}, words),))


def _tagged(n: int) -> Row:
    return {"tags": ["invoices" if n % 5 == 0 else "others"]}


def _thirds(n: int) -> Row:
    return {"group": f"customer-{n // 3}"}


def _cut(n: int) -> Row | str:
    return {"text": "I think that", "stop": "length"} if n < 20 else LABELS[n % 2]


def _refused(n: int) -> Row | str:
    return {"text": "I cannot help.", "stop": "refusal"} if n < 12 else LABELS[n % 2]


def _thought(n: int) -> str:
    return f"<think>It reads so.</think>{LABELS[n % 2]}" if n % 3 else LABELS[n % 2]


def _several(right: int, of: int) -> Replies:
    """Return *of* replies to each case, of which *right* ones are right in the first ten cases."""

    def said(n: int) -> list[str]:
        good, bad = LABELS[n % 2], LABELS[(n + 1) % 2]
        return [good if n >= 10 or k < right else bad for k in range(of)]

    return said


def _costs(usd: float) -> Replies:
    return lambda n: {"text": LABELS[n % 2], "usd": usd * (1 + n % 3)}


def _skills(every: int, lost: str = "memory") -> dict[str, str]:
    """Return recorded replies to three skills: of the base, and of one that lost some of *lost*."""
    rows = [
        json.loads(line)
        for name in ("reading", "logic", "memory")
        for line in (SKILLS / f"{name}.jsonl").read_text("utf-8").splitlines()
    ]
    known = [row for row in rows if "id" in row]
    base = [{"id": row["id"], "text": row["right"][0]} for row in known]
    new = [
        {"id": row["id"], "text": row["wrong" if lost and row["id"].startswith(lost)
         and n % every == 0 else "right"][0]}
        for n, row in enumerate(known)
    ]  # fmt: skip
    if every > 1:  # Otherwise the replies are those of the base.
        new = [{**row, "text": "Tom is, of course, an animal."} if row["id"] == "logic-001" else row
               for row in new]  # fmt: skip
    return {"base.jsonl": _lines(base), "new.jsonl": _lines(new)}


def _forgetting(every: int, keys: str) -> Project:
    text = (
        "cases: [{id: one, input: a, expected: b}]\n"
        "variants: {new: {provider: recorded, replies: new.jsonl, base_replies: base.jsonl}}\n"
        f"gates: {{forgetting: {{skills: [reading, logic, memory], {keys}}}}}\n"
    )
    return Project({"s.ftgate.yaml": text, **_skills(every)})


def _judged(name: str, judge: str, labels: bool) -> Project:
    cases = [{"id": f"t{n:03}", "input": f"Ask {n}."} for n in range(80)]
    said = {
        "current": [f"{n} {'please' if n % 10 else 'now'}, says current" for n in range(80)],
        "worse": [f"{n} {'please' if n % 3 else 'now'}, says worse" for n in range(80)],
    }
    human = [
        {"case": f"t{n:03}", "reply": text, "grade": "good" if "please" in text else "bad"}
        for texts in said.values() for n, text in enumerate(texts)
    ]  # fmt: skip
    text = (
        "cases: cases.jsonl\nreply:\n  score:\n    judge:\n      rubric: The reply says please.\n"
        f'      model: {{provider: python, function: "judges_here:{name}", usd_per_1k: 2}}\n'
        f"{judge}{'      human: labels.jsonl' if labels else ''}\nvariants:\n"
        + "".join(f"  {one}: {{provider: recorded, replies: {one}.jsonl}}\n" for one in said)
        + "gates: {accuracy: {max_drop: 0.15}}\n"
    )
    recorded = {
        f"{one}.jsonl": _lines([{"id": f"t{n:03}", "text": t} for n, t in enumerate(texts)])
        for one, texts in said.items()
    }
    more = {"labels.jsonl": _lines(human)} if labels else {}
    files = {"s.ftgate.yaml": text, "cases.jsonl": _lines(cases), "judges_here.py": JUDGE}
    return Project({**files, **recorded, **more})


def _marked(body: str, mark: str = "max_drop=0.1", *, new: int = 12) -> Project:
    found = suite("accuracy: {min: 0.5}", 60, current=wrong(1), new=wrong(new))
    code = f'import pytest\n\n@pytest.mark.ftgate("s.ftgate.yaml", {mark})\n{body}'
    return Project({**found.files, "test_marked.py": code}, (({}, ("test_marked.py",)),))


def _data(rows: int, copies: int) -> Project:
    cases = tickets(60)
    train = [{"input": f"Customer {n} writes {n * 7919 % 9973}", "expected": LABELS[n % 2]}
             for n in range(rows)]  # fmt: skip
    train[:copies] = [{"input": c["input"], "expected": c["expected"]} for c in cases[:copies]]
    return suite(
        "accuracy: {min: 0.5}\ndata: {min_rows: 50}", cases,
        more={"new": ", rung: fine-tuned, training_data: train.jsonl"},
        files={"train.jsonl": _lines(train)}, current=wrong(2), new=wrong(2),
    )  # fmt: skip


def _asked(keys: str = "", *options: str, code: str = ANSWERS, gates: str = "") -> Project:
    """Return a project whose variant is a function of it."""
    named = {"only": f'{{provider: python, function: "answers:answer"{keys}}}'}
    gates = gates or "accuracy: {min: 0.85}"
    return suite(gates, 60, *options, more=named, files={"answers.py": code})


#: A marked function that is right where the reply is the expected label.
_LABEL = "def test_label(case, reply):\n    assert reply.text == case.expected\n"


def _compare(bad: int, *options: str) -> Project:
    old, new = answer_rows(120, (3, 4)), answer_rows(120, range(bad))
    files = {"old.jsonl": _lines(old), "new.jsonl": _lines(new)}
    words = ("compare", "old.jsonl", "new.jsonl", "--reply=answer", *options)
    return Project(files, (({}, words),))


def _tasks(worse: int) -> Project:
    """Return twelve tasks of an agent with ten runs each, of which a new one gets fewer right."""

    def runs(lost: int) -> str:
        return _lines([
            {"id": f"task-{n:02}", "text": f"Run {k}.", "score": float(k >= n % 3 + lost * (n % 2))}
            for n in range(12) for k in range(10)
        ])  # fmt: skip

    tasks = _lines([{"id": f"task-{n:02}", "input": f"Do {n}."} for n in range(12)])
    text = (
        "cases: cases.jsonl\nrepeats: 10\nreply: {score: recorded}\nvariants:\n"
        "  old: {provider: recorded, replies: old.jsonl}\n"
        "  new: {provider: recorded, replies: new.jsonl}\n"
        "gates: {accuracy: {claim: these_tasks, max_drop: 0.15}}\n"
    )
    files = {"s.ftgate.yaml": text, "cases.jsonl": tasks}
    return Project({**files, "old.jsonl": runs(0), "new.jsonl": runs(worse)})


def _inputs(labelled: int) -> Project:
    """Return cases beside inputs without an answer, of which some differ and some are labelled."""
    found = suite("accuracy: {max_drop: 0.05}", 60, head="inputs: production.jsonl",
                  current=wrong(1), new=wrong(1))  # fmt: skip
    asked = [{"id": f"p{n}", "input": f"Production {n}"} for n in range(300)]
    said = {
        name: [{"id": f"p{n}", "text": "refund" if name == "new" and n < 20 else "billing"}
               for n in range(300)]
        for name in ("current", "new")
    }  # fmt: skip
    files = {**found.files, "production.jsonl": _lines(asked)}
    for name, rows in said.items():
        files[f"{name}.jsonl"] += _lines(rows)
    return Project(files)


def _later(*steps: tuple[Mapping[str, str], tuple[str, ...]]) -> Project:
    """Return a project whose run is accepted, and what comes after that."""
    accepted = suite("accuracy: {max_drop: 0.2}", current=wrong(2))
    return Project(accepted.files, (({}, ("--ftgate-accept",)), *steps))


def _now(count: int) -> dict[str, str]:
    return {"current.jsonl": _recorded(tickets(60), wrong(count))}


_DROP = "accuracy: {max_drop: 0.1}"
_CELLS = {"current": ", usd_per_1k: 1", "new": ", usd_per_1k: 2"}
_MUST = tickets(60, lambda n: {"must_pass": True} if n < 3 else {})
#: Every project by the name of its files.
PROJECTS: Mapping[str, Project] = {
    "passed": suite(_DROP, 120, current=wrong(2), new=wrong(2)),
    "passed-unchanged": suite("accuracy: {}", current=wrong(2), new=wrong(2)),
    "passed-better": suite(_DROP, current=wrong(20), new=wrong(2)),
    "passed-default-limit": suite("accuracy: {}", 120, current=wrong(2), new=wrong(3)),
    "passed-nothing-to-compare": suite(_DROP, current=wrong(2)),
    "failed-drop": suite(_DROP, current=wrong(2), new=wrong(25)),
    "failed-one-of-two": suite(_DROP, current=wrong(2), good=wrong(2), new=wrong(25)),
    "failed-minimum": suite("accuracy: {min: 0.85}", 120, current=wrong(40)),
    "failed-must-pass": suite("accuracy: {min: 0.8}", _MUST, current=wrong(1)),
    "failed-format": suite("format: {min: 0.9}\naccuracy: {max_drop: 0.2}", 120,
        current=wrong(2), new=wrong(40, "none of these")),
    "failed-weights": suite(_DROP, tickets(60, lambda n: {"weight": 1 + n % 3}),
        current=wrong(2), new=wrong(30)),
    "failed-groups": suite("accuracy: {max_drop: 0.2}", tickets(90, _thirds),
        current=wrong(0), new=wrong(60)),
    "failed-slice-tag": suite("accuracy: {max_drop: 0.3, slices: [tag]}", tickets(200, _tagged),
        current=wrong(0), new=lambda n: LABELS[(n + (n % 5 == 0)) % 2]),
    "failed-slice-label": suite("accuracy: {max_drop: 0.4, slices: [label]}", 200,
        current=wrong(0), new=lambda n: LABELS[0 if n % 6 else n % 2]),
    "failed-cut-off": suite(_DROP, current=wrong(2), new=_cut),
    "failed-refused": suite(_DROP, current=wrong(2), new=_refused),
    "passed-accept": suite("accuracy: {max_drop: 0.2}", 60, "--ftgate-accept", current=wrong(2)),
    "failed-accepted": _later((_now(30), ())),
    "failed-anchor": _later((_now(9), ("--ftgate-accept",)), (_now(24), ())),
    "exam-shrunk": _later(({"cases.jsonl": _lines(tickets(30))}, ())),
    "record-alone": _later(
        ({"other.ftgate.yaml": _later().files["s.ftgate.yaml"]}, ("other.ftgate.yaml",))),
    "passed-thoughts": suite(_DROP, current=_thought, new=wrong(2)),
    "passed-repeats": suite(_DROP, head="repeats: 3", current=_several(3, 3), new=_several(3, 3)),
    "failed-repeats": suite(_DROP, head="repeats: 3", current=_several(3, 3),
        new=_several(1, 3)),
    "inconclusive-few-cases": suite(_DROP, current=wrong(2), new=wrong(5)),
    "inconclusive-minimum": suite("accuracy: {min: 0.9}", current=wrong(5)),
    "inconclusive-missing": suite(_DROP, current=wrong(2), new=missing(15, 60)),
    "inconclusive-nothing-right": suite(_DROP, current=wrong(60), new=wrong(60)),
    "inconclusive-chance": suite(_DROP, current=wrong(58), new=wrong(59)),
    "inconclusive-real-drop": suite("accuracy: {max_drop: 0.08}", 200,
        current=wrong(3), new=wrong(13)),
    "forgetting-passed": _forgetting(40, "max_drop: 0.2"),
    "forgetting-failed": _forgetting(3, "max_drop: 0.1"),
    "forgetting-invalid": _forgetting(1, "max_drop: 0.1"),
    "judge-qualified": _judged("polite", "      min: {kappa: 0.6}\n", labels=True),
    "judge-unqualified": _judged("kind", "      min: {kappa: 0.6}\n", labels=True),
    "judge-pairwise": _judged("better", "      compare: baseline\n", labels=False),
    "data-passed": _data(100, 0),
    "data-failed": _data(100, 3),
    "cost-failed": suite("cost: {max_usd_per_1k: 0.5}", more={"current": ", usd_per_1k: 0.62"},
        current=wrong(2)),
    "cost-rise": suite("cost: {max_rise: 0.2}", more=_CELLS, current=wrong(2), new=wrong(2)),
    "marked-passed": _marked(_LABEL, new=1),
    "marked-failed": _marked(_LABEL),
    "marked-score": _marked(
        "def test_score(case, reply):\n    return 1.0 if reply.text == case.expected else 0.25\n"),
    "marked-async": _marked(
        f"async {_LABEL}", "min=0.9"),
    "compare-passed": _compare(4),
    "compare-failed": _compare(30, "--max-drop=0.1"),
    "tasks-passed": _tasks(0),
    "tasks-failed": _tasks(5),
    "inputs-unlabelled": _inputs(0),
    "error-requests": _asked(code=DOWN),
    "error-not-recorded": _asked("", "--ftgate-replies=recorded"),
    "error-suite": suite("accuracy: {max_drop: 0.02, minn: 0.5}\nformatt: {}", 20,
        current=wrong(2)),
    "budget-spent": _asked(", usd_per_1k: 10000", "--ftgate-max-usd=0.5"),
    "plan": suite("accuracy: {}\nformat: {min: 0.9}", 60, "--ftgate-plan",
        current=wrong(2), new=wrong(2)),
    "not-gated": suite(_DROP, more={"new": ", gated: false"}, current=wrong(2), new=wrong(9)),
    "warned": suite(_DROP, 60, "--ftgate-inconclusive=warn", current=wrong(2), new=wrong(5)),
}  # fmt: skip


class _Text(HTMLParser):
    """Collects the text of a page, one line for each run of text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._hidden = ""

    def handle_starttag(self, tag: str, _attributes: object) -> None:
        self._hidden = self._hidden or (tag if tag in ("script", "style") else "")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = "" if tag == self._hidden else self._hidden

    def handle_data(self, data: str) -> None:
        if not self._hidden and (text := " ".join(data.split())):
            self.lines.append(text)


def _steady(text: str, folder: str) -> str:
    text = text.replace(folder, "<folder>")
    for pattern, instead in UNSTEADY:
        text = re.sub(pattern, instead, text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") + "\n"


def screens(copier: Copier, project: Project) -> dict[str, str]:
    """Return the faces of the last command of *project*, by the names of their files."""
    with TemporaryDirectory(prefix="golden") as name:
        folder = Path(name)
        written = {"pytest.ini": "[pytest]\n", **project.files}
        for files, words in project.steps:
            for path, text in {**written, **files}.items():
                (folder / path).write_text(text, "utf-8")
            written, options = {}, () if words[:1] == ("compare",) else RUN
            ended = copier.run(folder, [*options, *words], ENVIRON)
        found = {"terminal.txt": f"exit code {ended.code}\n{ended.printed}"}
        for path, face in FACES.items():
            if (folder / path).exists():
                found[face] = (folder / path).read_text("utf-8")
        if "page.txt" in found:
            text = _Text()
            text.feed(found["page.txt"])
            found["page.txt"] = "\n".join(text.lines)
        if "run.json" in found:
            found["run.json"] = json.dumps(_record(json.loads(found["run.json"])), indent=1)
        return {face: _steady(text, name) for face, text in found.items()}


def _record(value: Any) -> Any:
    """Return a run record without what is empty, and with two of the cases of each list."""
    if isinstance(value, float):
        return float(f"{value:.10g}")
    if isinstance(value, list):
        return [_record(one) for one in value]
    if not isinstance(value, dict):
        return value
    parts = {
        key: _record(of[:2] if key == "cases" and isinstance(of, list) else of)
        for key, of in value.items()
    }
    return {key: of for key, of in parts.items() if of not in (None, "", [], {}, False)}


def copier() -> Copier:
    """Return what runs the commands, without keys and without options of the pytest that asks."""
    return Copier(without=(*KEY_NAMES, "PYTEST_ADDOPTS", "PYTEST_PLUGINS"))


def main() -> None:
    """Write the files of the projects that are named, or of all."""
    names = sys.argv[1:] or [*PROJECTS]
    runs = copier()
    for name in names:
        shutil.rmtree(FOLDER / name, ignore_errors=True)
        (FOLDER / name).mkdir(parents=True)
        for face, text in screens(runs, PROJECTS[name]).items():
            (FOLDER / name / face).write_text(text, "utf-8")
    runs.close()


if __name__ == "__main__":
    main()
