"""The fault matrix: what goes wrong, what is promised then, and the test of each promise.

`benchmarks/reliability.json` has what runs came to against something real.

`python docs/site.py faults` writes docs/contributing/faults.md from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ftgate_testing.faulty_server import CASES, SOUND

#: The columns: what holds whatever goes wrong.
PROMISES = ("no reply lost", "none paid twice", "no false pass", "message", "exit code")
SERVED = "tests/journeys/test_faults.py::test_of_a_server"


@dataclass(frozen=True, slots=True)
class Served:
    """A fault of a server, which `faulty_server` has.

    Attributes:
        name: the model that meets it.
        what: what the server does, in words.
        message: what the report says, as a regular expression.
        shown: the same for the page.
        lasts: the fault is in the replies, so it stays when the server is mended.
    """

    name: str
    what: str
    message: str
    shown: str
    lasts: bool = False


def _status(status: int, what: str, attempts: str = "") -> Served:
    told = f"{attempts and 'no reply in … attempts; last: '}{status} fault {status}"
    pattern = told.replace("…", r"\d+")
    return Served(str(status), f"status {status}: {what}", pattern, told.replace("fault", "…"))


def _again(name: str, what: str, message: str, shown: str = "") -> Served:
    start = "no reply in … attempts; last: "
    pattern = rf"no reply in \d+ attempts; last: {message}"
    return Served(name, what, pattern, start + (shown or message))


_BODY = "the body is cut off or no JSON"
_GONE, _SHOWN_GONE = r"no connection to http://127\.0\.0\.1:\d+/v1: ", "no connection to ADDRESS: "
SERVED_FAULTS = (
    _again("204", "status 204: no body", _BODY),
    Served("300", "status 300 without an address", "redirects, but says not where", "…"),
    Served(
        *("redirect", "status 307 to another host", "redirects to http://elsewhere.example/v1, "),
        "ADDRESS redirects to …, where no prompt is sent",
    ),
    _status(400, "the request is wrong"),
    _status(401, "no such key"),
    _status(402, "no money"),
    _status(403, "not allowed"),
    _status(404, "no such model"),
    _status(408, "too slow", "again"),
    _status(409, "conflict", "again"),
    _status(413, "too large"),
    _status(422, "cannot be processed"),
    _status(429, "rate limit", "again"),
    _status(500, "server error", "again"),
    _status(502, "bad gateway", "again"),
    _status(503, "unavailable", "again"),
    _status(504, "gateway timeout", "again"),
    _status(529, "overloaded", "again"),
    _again("reset", "resets the connection", f"{_GONE}.*reset", f"{_SHOWN_GONE}… reset"),
    _again("slow drip", "sends a byte at a time", "no reply in time from ", "no reply in time"),
    _again("half-closed", "closes its side", f"{_GONE}Server disconnected", f"{_SHOWN_GONE}…"),
    _again(
        "cut off", "ends in the middle of a body", f"{_GONE}Response payload", _SHOWN_GONE + "…"
    ),
    _again("no HTTP", "speaks another protocol", f"{_GONE}400, ", f"{_SHOWN_GONE}400, …"),
    _again("no JSON", "sends half a JSON", _BODY),
    _again("an empty body", "sends an empty body", _BODY),
    Served("a page", "sends a web page", "answered with a web page, not with a reply", "…"),
    _again("wrong type", "sends values of wrong types", "the body is no completion"),
    _again(
        *("nulls", "sends null for the content, the finish_reason and the model"),
        "the body has neither content nor finish_reason",
    ),
    Served(
        *("bomb", "sends a body that unpacks to gigabytes"),
        *("the body of the reply is larger than", "the body of the reply is larger than 32 MB"),
    ),
    Served(
        *("another model", "lets another model answer", "another model answered: small"),
        *("INVALID: not what it claims to be: another model answered: …", True),
    ),
)


@dataclass(frozen=True, slots=True)
class Local:
    """A fault of this machine, or of another one of the run.

    Attributes:
        cells: for each promise what happens, and the test that shows it.
    """

    what: str
    cells: tuple[tuple[str, str], ...]


def _local(test: str, what: str, *cells: str | tuple[str, str]) -> Local:
    """Return a fault whose cells *test* shows, but for those that come with another one."""
    return Local(what, tuple((cell, test) if isinstance(cell, str) else cell for cell in cells))


_HERE = "tests/journeys/test_faults.py::"
_KILL, _INTERRUPTED = "tests/journeys/test_kill.py::", "tests/journeys/test_interrupted.py::"
_PAID = "tests/journeys/test_paid_once.py::"
_KILLS = _PAID + "test_kills_cost_what_was_in_flight_and_no_more"
_TWO = _PAID + "test_two_runs_at_once_send_each_call_once"
_STORED = "tests/cache/test_cache.py::"
_STORED += "test_a_killed_process_leaves_every_reply_that_it_had_stored"
_SAVED = "tests/cache/test_maintenance.py::"
_SAVED += "test_what_can_be_read_of_a_damaged_file_is_saved_and_the_old_one_too"
_ASKED = "tests/client/test_engine.py::test_a_call_whose_asker_was_killed_is_asked"
_CLOCK = _HERE + "test_a_clock_that_goes_back_changes_nothing"
_FULL = _HERE + "test_on_a_full_disk_the_run_ends_red_and_the_next_one_sends_the_rest"
_READ_ONLY = _HERE + "test_a_cache_that_is_read_only_stops_the_run_before_it_pays"
_NEWER = _HERE + "test_a_cache_of_a_newer_version_stops_the_run_before_it_pays"
_TAKEN = _HERE + "test_a_cache_that_a_newer_version_takes_over_gets_no_reply_of_this_one"
_TERM = _INTERRUPTED + "test_what_is_in_flight_comes_home_and_nothing_more_is_sent"
_NEXT = (
    _KILL + "test_a_killed_run_has_no_verdict_and_keeps_its_replies_and_the_next_asks_the_others"
)
_DIES = "tests/journeys/test_not_evaluated.py::"
_DIES += "test_a_gate_whose_worker_dies_blocks_beside_gates_that_pass"
_NODE = "tests/client/test_ray.py::test_a_lost_node_loses_no_call"
_NODES = "tests/journeys/test_ray.py::"
_NODES += "test_a_cluster_that_loses_a_node_reaches_the_verdicts_of_one_machine"
_DAMAGE = "tests/journeys/test_cache_verb.py::"
_DAMAGE += "test_a_run_goes_on_with_what_a_damaged_cache_still_has"
_BLOCKED = "an error of the gate"
_MISTAKEN = "tests/journeys/test_internal_errors.py::"
_LOSES = _MISTAKEN + "test_where_a_reply_is_lost_by_mistake_no_gate_lacks_evidence"
_KEEPS = _MISTAKEN + "test_where_a_room_breaks_every_reply_is_kept"
_ROOMS = _MISTAKEN + "test_what_breaks_in_any_room_ends_the_run_and_is_told"
_READER = "tests/journeys/test_closed_pipes.py::test_a_red_run_is_red_and_has_its_reports"
_LENIENT = "not evaluated, which blocks, with `--ftgate-inconclusive=warn` too"
_BROKEN = "tests/journeys/test_engine_failures.py::"
_ENDS = _BROKEN + "test_the_run_ends_as_after_an_internal_error_and_names_the_line"
_RESUMES = _BROKEN + "test_what_was_answered_is_kept_and_the_next_run_asks_the_rest"
_FLYING = "tests/client/test_engine_failures.py::test_replies_that_are_on_their_way_are_kept"
_UNEXPECTED = "unexpected … at FILE:LINE; the run ends, …"
_SAME = ("the verdicts of one run", "as usual", "0")
LOCAL_FAULTS = (
    _local(_CLOCK, "the clock goes back",
        "all are kept", "no request again", "the same verdict", "as usual", "0"),
    _local(_FULL, "the disk is full",
        "one that has no room is put aside, to be imported",
        "no further request; after the import only the rest", _BLOCKED,
        "cannot be written: …; import with …", "1"),
    _local(_READ_ONLY, "the cache is read-only",
        "no request is sent", "no request is sent", _BLOCKED,
        "cannot be used: …; name another file with …", "1"),
    _local(_TERM, "SIGTERM, or Ctrl-C",
        "those in flight are awaited", "no request again", "no verdict",
        "no gate was evaluated; the run was cut off", "2"),
    _local(_LOSES,
        "an exception that nothing expects, on the way of a reply: in a provider of the package, "
        "in the engine, in the cache",
        "all that were stored are kept", "those that it met, no other", _LENIENT, _UNEXPECTED, "3"),
    _local(_ROOMS,
        "an exception that nothing expects, anywhere else: in scoring, a gate or a report",
        ("all are kept", _KEEPS), ("no request again", _KEEPS), _LENIENT, _UNEXPECTED, "3"),
    _local(_ENDS, "an exception of a provider of yours, where it answers no request",
        ("those in flight are awaited", _FLYING), ("no request again", _RESUMES), "no verdict",
        _UNEXPECTED, "3"),
    _local(_NEXT, "SIGKILL",
        "all that came are kept", ("those in flight, no other", _KILLS), "no verdict",
        "of the next run: … cached, … requested", "137"),
    _local(_DIES, "a worker of pytest-xdist dies, out of memory",
        ("all that came are kept", _STORED),
        ("those in flight, no other", _ASKED),
        "not evaluated, which blocks", "crashed while running …", "1"),
    _local(_NODES, "a node of Ray is lost",
        ("all come", _NODE), ("those in flight, no other", _NODE), "the verdicts of one machine",
        "as usual", "of the verdicts"),
    _local(_READER, "the reader of the output closes the pipe, or there is no output",
        "all are kept", "no request again", "the verdicts, in all reports", "as far as it is read",
        "of the verdicts"),
    _local(_DAMAGE, "the cache is damaged",
        ("what can be read is saved, with the old file", _SAVED),
        "what cannot be read, no other", "the same verdict", "the cache … was damaged …", "0"),
    _local(_NEWER, "a newer version has used the cache",
        "the file is left as it is", "no request is sent", _BLOCKED,
        "its format … is newer than this version reads", "1"),
    _local(_TAKEN, "a newer version takes the cache over during the run",
        "one that comes later is put aside, to be imported",
        "no further request; after the import only the rest", _BLOCKED,
        "its format … is newer than this version reads; import with …", "1"),
    _local(_TWO, "two runs use one cache at once",
        "all are kept", "each request once", *_SAME),
)  # fmt: skip


def nodes() -> Iterator[str]:
    """Yield the test of each cell."""
    yield SERVED
    yield from (node for row in LOCAL_FAULTS for _, node in row.cells)


RUNS = Path(__file__).parents[2] / "benchmarks" / "reliability.json"
_COMMAND = "`python benchmarks/{}`"


def _runs() -> Iterator[str]:
    """Yield the lines on runs against a real disk, clock, process and server."""
    runs = json.loads(RUNS.read_text("utf-8"))
    kills = runs.pop("kill-9")
    yield "\n## Runs in which something real was broken\n"
    yield "Each command breaks a real file system, clock, process or server, mends it, and runs"
    yield "pytest again. It fails if a reply is lost or answered twice, or if the last run does not"
    yield "pass. The exit codes are those of the broken run and of the last one. `twice` counts the"
    yield "cases that were answered again, and `kept` the replies in the cache of those that came."
    head = "fault | sent | answered | twice | kept | exit codes | message | command | date"
    yield f"\n| {head} |"
    yield f"|{'---|' * 9}"
    for name, run in runs.items():
        kept = "{:,} of {:,}".format(*run["kept"])
        numbers = (f"{run[key]:,}" for key in ("sent", "answered", "twice"))
        codes = ", ".join(map(str, run["codes"]))
        command = _COMMAND.format(f"reliability.py {name}")
        cells = (run["fault"], *numbers, kept, codes, f"`{run['says']}`", command, run["date"])
        yield f"| {' | '.join(cells)} |"
    command = _COMMAND.format("kills.py")
    yield f"\nOn {kills['date']} {command} killed {kills['hit']} runs with SIGKILL while they ran,"
    yield f"and let one end, with {kills['code']}. The plan had {kills['planned']:,} requests, and"
    yield f"{kills['sent']:,} were sent: {kills['flying']:,} were in flight at a kill, at most"
    yield f"{kills['most']} at one. {kills['again']} replies of the cache were requested again."


def page() -> Iterator[str]:
    """Yield the lines of docs/contributing/faults.md."""
    head = f"| fault | {' | '.join(PROMISES)} |\n|{'---|' * (len(PROMISES) + 1)}"
    broken = CASES - SOUND
    yield "# Faults\n"
    yield "What holds when a server, a disk or a process fails. Each cell is a test: this page is"
    yield "written from their table, `tests/ftgate_testing/faults.py`, by `docs/site.py faults`."
    yield "\n## Faults of a server\n"
    yield f"A server meets {broken} of {CASES} requests with the fault, every time, and answers the"
    yield f"other {SOUND}. After that it is mended, and the run is repeated."
    yield f"[`{SERVED}`]\n"
    yield head
    for fault in SERVED_FAULTS:
        verdict = (
            "the gate is invalid, also in the next run"
            if fault.lasts
            else ("an error of the gate; mended, it passes")
        )
        message = fault.shown if fault.shown != "…" else fault.message
        cells = ("all that came are kept", "each is answered once", verdict, f"`{message}`", "1")
        yield f"| {fault.what} | {' | '.join(cells)} |"
    yield "\nAn attempt that fails may have cost money at the provider. What passes by itself"
    yield "(statuses 408, 409, 429 and from 500 on, lost connections, broken bodies) is tried again"
    yield "within the run ([many requests](../scale.md)). So is a web page. Before any reply it is"
    yield "asked for once more, as a proxy may show it at first; then the address is wrong."
    yield "\n## Faults of this machine, and of the run\n"
    yield head
    for row in LOCAL_FAULTS:
        yield f"| {row.what} | {' | '.join(words for words, _ in row.cells)} |"
    yield "\nTheir tests:\n"
    for row in LOCAL_FAULTS:
        names = dict.fromkeys(node for _, node in row.cells)
        yield f"- {row.what}: {', '.join(f'`{name}`' for name in names)}"
    yield from _runs()
