"""Nothing that is broken is green: each way of breaking a project, by each way of evaluating it.

Lists make the cells. A line in BROKEN (`breakages.py` of tests/ftgate_testing) adds a way of being
broken, one in WAYS (`ways.py`) a way of evaluating, one in FACES (`faces.py`) a face.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from ftgate_testing.breakages import BROKEN, PLACES, raises, sends
from ftgate_testing.faces import FACES, faces_that_say_passed
from ftgate_testing.repositories import Repository
from ftgate_testing.ways import SUITE, WAYS, Project


def cell(name: str, way: str, *, light: bool) -> Any:
    return pytest.param(name, way, marks=() if light else pytest.mark.heavy)


CELLS = [
    cell(name, way, light=way in one.light)
    for name, one in BROKEN.items()
    for way in WAYS
    if way not in one.impossible
]
#: What is given before something breaks, each once: in the suite on each push, and the first of
#: them in every way that starts no processes.
GIVEN = [*{one.given: name for name, one in reversed(BROKEN.items())}.values()]
TWINS = [
    cell(name, way, light=way == "suite" or (name == GIVEN[-1] and way != "xdist"))
    for name in GIVEN
    for way in WAYS
    if way not in BROKEN[name].impossible
]


@pytest.fixture
def project(request, pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    made = Project(pytester, WAYS[request.param])
    with made.stack:
        yield made


@pytest.mark.parametrize(("name", "project"), CELLS, indirect=["project"])
def test_no_face_of_what_is_broken_says_passed(name, project):
    BROKEN[name].given(project)
    BROKEN[name].breaks(project)

    seen = project.run()

    assert faces_that_say_passed(seen) == [], seen.printed
    if project.way is WAYS["suite"]:
        # It is not green for this reason, and not since the test is broken.
        assert re.search(BROKEN[name].told, " ".join(seen.printed.split())), seen.printed


@pytest.mark.parametrize(("name", "project"), TWINS, indirect=["project"])
def test_every_face_says_passed_before_the_project_breaks(name, project):
    BROKEN[name].given(project)

    seen = project.run()

    told = {*faces_that_say_passed(seen), *project.way.lacks}
    assert [face for face in FACES if face not in told] == [], seen.printed


@pytest.mark.heavy
@pytest.mark.parametrize("place", PLACES, ids=lambda place: "-".join(map(str, place[1:])))
@pytest.mark.parametrize("project", ["suite"], indirect=True)
def test_no_exception_in_the_engine_is_green_wherever_it_comes_from(project, place):
    sends("Sort {{ input }}")(project)
    raises(place)(project)

    seen = project.run()

    # The run is broken, and not its gates: they may be evaluated when the exception comes.
    of_run = replace(seen, gate="none", test="none")
    assert faces_that_say_passed(of_run) == [], seen.printed
    assert place[3].partition("(")[0].rpartition(".")[2] in seen.printed


# The tables ---------------------------------------------------------------------------------------


def test_every_cell_is_made_or_has_the_reason_why_it_cannot_be():
    assert len(BROKEN) >= 12
    for one in BROKEN.values():
        assert {*one.impossible, *one.light} <= {*WAYS}
        assert all(one.impossible.values())
    assert all({*way.lacks} < {*FACES} and all(way.lacks.values()) for way in WAYS.values())


#: What each face would say if it were green: of the gate alone, and of the whole run.
PLANTED = {
    "exit code": [("code", lambda _: 0)],
    "closing section": [("closing", lambda text: text.replace("BLOCKED", "PASSED"))],
    "run record": [
        ("record", lambda text: text.replace('"blocked"', '"passed"', 1)),
        ("record", lambda text: with_outcome(text, "passed")),
    ],
    "Markdown": [
        ("markdown", lambda text: text.replace("🔴 BLOCKED", "🟢 PASSED")),
        ("markdown", lambda text: text.replace("| FAILED ", "| passed ")),
        ("markdown", lambda text: text.replace("| ❌ ", "| ✅ ")),
    ],
    "page": [
        ("page", lambda text: text.replace("<title>BLOCKED", "<title>PASSED")),
        ("page", lambda text: text.replace("</span>Blocked</h1>", "</span>Passed</h1>")),
        ("page", lambda text: text.replace('"badge failed"', '"badge passed"')),
    ],
    "JUnit": [("junit", lambda text: re.sub("(?s)<failure.*?</failure>", "", text))],
}


def with_outcome(record: str, outcome: str) -> str:
    """Return a run record with another outcome of the draft's gate."""
    run = json.loads(record)
    for verdict in run["verdicts"]:
        verdict["outcome"] = outcome if verdict["variant"] == "draft" else verdict["outcome"]
    return json.dumps(run)


@pytest.mark.parametrize("project", ["suite", "marked function"], indirect=True)
def test_what_a_face_says_is_read(project):
    project.fail()
    seen = project.run()

    assert PLANTED.keys() == FACES.keys()
    for face, plants in PLANTED.items():
        for field, plant in plants:
            planted = replace(seen, **{field: plant(getattr(seen, field))})
            assert faces_that_say_passed(planted) == [face]


# What only a reviewer can see ---------------------------------------------------------------------


def says_right_always(project: Project) -> None:
    project.fail()
    project.files["scores.py"] = "def score(case, reply):\n    return 1\n"


def all_are_worse(project: Project) -> None:
    project.fail()
    project.replies["current"] = project.replies["draft"]


def any_drop(project: Project) -> None:
    project.fail()
    project.suite["gates"]["accuracy"] = {"max_drop": 0.9}


#: Changes that a team may want, once the accepted record is gone: they are green, and each report
#: names the file that a reviewer must read.
VISIBLE = {
    "a scorer that says right to all": (says_right_always, "scores.py"),
    "nothing to compare with": (all_are_worse, "tickets.accepted.json"),
    "a limit that lets nearly all go": (any_drop, SUITE),
}


@pytest.mark.parametrize("change", VISIBLE)
@pytest.mark.parametrize("project", ["suite"], indirect=True)
def test_what_only_a_reviewer_can_judge_is_named_in_every_report(project, change, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    project.suite["reply"] = {"score": {"python": "scores:score"}}
    project.files["scores.py"] = "def score(case, reply):\n    return reply.text == case.expected\n"
    project.accept()
    Repository.made(project.path("")).commit()
    project.path("tickets.accepted.json").unlink()
    change, file = VISIBLE[change]
    change(project)

    seen = project.run()

    assert seen.code == 0, seen.printed
    for shown in (seen.closing, seen.markdown, seen.page):
        line = next(line for line in shown.splitlines() if "changed since main: " in line)
        assert "tickets.accepted.json (deleted)" in line
        assert file in line
