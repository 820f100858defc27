"""What a run comes to when its disk, its clock, its server or itself fails.

    python benchmarks/reliability.py [NAME ...]

Starts pytest against a counting server on loopback, breaks something that is real, mends it, and
runs pytest again. It prints how many requests were sent and answered, and exits with 1 if a reply
was lost or answered twice, or if the last run does not pass. With ``--keep`` the results and their
date go to reliability.json, from which ``docs/site.py faults`` writes docs/contributing/faults.md.
``disk-full`` and ``read-only`` mount a small file system, for which root is needed, and
``clock-back`` needs a C compiler.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from ftgate_testing.answer_files import write_rows
from ftgate_testing.faulty_server import reply_body
from ftgate_testing.loopback import Handler, loopback

KEPT = Path(__file__).with_name("reliability.json")
CASES, LABELS = 400, ("billing", "refund")
#: Seconds that the server takes; those of a storm, and the requests a second after it.
ANSWER, STORM, LIMIT = 0.05, 5.0, 40
SUITE = """\
cases: c.jsonl
reply: {{format: {{choice: [billing, refund]}}}}
variants: {{current: {{provider: openai-compatible, model: m, base_url: "{url}/v1"}}}}
gates: {{accuracy: {{min: 0.5}}, format: {{min: 0.5}}}}
"""
PYTEST = (sys.executable, "-m", "pytest", "--ftgate", "-p", "no:cacheprovider")
#: Takes an hour from the clock in each second, as from the second one on.
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <sys/time.h>
static time_t begun;
static time_t back(time_t now) { if (!begun) begun = now; return now - 3600 * (now - begun); }
int clock_gettime(clockid_t id, struct timespec *t) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(id, t);
  if (!failed && id == CLOCK_REALTIME) t->tv_sec = back(t->tv_sec);
  return failed;
}
time_t time(time_t *out) {
  struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
  if (out) *out = t.tv_sec;
  return t.tv_sec;
}
int gettimeofday(struct timeval *tv, void *zone) {
  struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
  tv->tv_sec = t.tv_sec; tv->tv_usec = t.tv_nsec / 1000;
  return 0;
}
"""
#: A run that loses patience with a request after two seconds, not after ten minutes.
HASTY = """\
import aiohttp
from pytest_ftgate.providers import served
served._TIMEOUT = aiohttp.ClientTimeout(total=2, sock_connect=5)
"""


@dataclass(slots=True)
class Server:
    """The requests to the server, by case, and what is wrong with it.

    Attributes:
        sent: the requests that came.
        answered: those that got a whole reply.
        silent_after: so many are answered, and those after them never.
        limit: so many requests a second are answered, after a time in which none is; all others
            are refused with status 429. None for no limit.
    """

    url: str = ""
    sent: Counter[int] = field(default_factory=Counter)
    answered: Counter[int] = field(default_factory=Counter)
    silent_after: int = sys.maxsize
    limit: int | None = None
    begun: float = 0.0
    lock: Lock = field(default_factory=Lock)
    ending: Event = field(default_factory=Event)

    def refuses(self) -> bool:
        """Whether the limit of requests is used up; counts one more."""
        now = time.monotonic()
        self.begun = self.begun or now
        open_for = now - self.begun - STORM
        return self.limit is not None and self.answered.total() >= open_for * self.limit


@contextmanager
def serving() -> Iterator[Server]:
    """Serve until the block ends."""
    told = Server()

    class Answering(Handler):
        def post(self) -> None:
            number = int(json.loads(self.sent())["messages"][-1]["content"].split()[1])
            with told.lock:
                told.sent[number] += 1
                refused = told.refuses()
                silent = told.sent.total() > told.silent_after
            if silent:
                told.ending.wait()
                return
            time.sleep(ANSWER)
            try:
                if refused:
                    self.give_json(429, {"error": {"message": "slow down"}}, retry_after="1")
                    return
                self.give_json(200, reply_body("m", LABELS[number % 2]))
            except OSError:
                return
            with told.lock:
                told.answered[number] += 1

    with loopback(Answering) as told.url:
        yield told
        told.ending.set()


@dataclass(frozen=True, slots=True)
class Came:
    """What the runs of a fault came to.

    Attributes:
        fault: what went wrong.
        sent, answered: the requests to the server in all runs.
        twice: the cases that were answered more than once.
        kept: the replies that the cache had of those that had been answered, when the first run
            was over and what it put aside was imported; None where that is no question.
        codes: the exit codes of the broken run and of the last one.
        says: what the broken run says.
    """

    fault: str
    sent: int
    answered: int
    twice: int
    kept: tuple[int, int] | None
    codes: tuple[int, ...]
    says: str

    @property
    def is_sound(self) -> bool:
        """Whether nothing was lost, and the last run had every reply."""
        whole = self.kept is None or self.kept[0] == self.kept[1]
        return whole and not self.twice and self.answered == CASES and self.codes[-1] == 0


@dataclass(frozen=True, slots=True)
class Project:
    """The folder of a suite that asks the server."""

    folder: Path
    server: Server

    def start(self, *options: str, **environ: str) -> subprocess.Popen[str]:
        """Start a run."""
        return subprocess.Popen(
            [*PYTEST, *options],
            cwd=self.folder,
            env={**os.environ, "NO_PROXY": "127.0.0.1", "COLUMNS": "200", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *options: str, **environ: str) -> tuple[int, str]:
        """Run, and return the exit code and what was printed."""
        run = self.start(*options, **environ)
        return _ended(run)

    def kept(self, cache: str = ".ftgate/cache.sqlite") -> int:
        """Return how many replies the cache has."""
        with closing(sqlite3.connect(self.folder / cache)) as file:
            return int(file.execute("SELECT count(*) FROM replies").fetchone()[0])

    def came(
        self, fault: str, first: tuple[int, str], kept: tuple[int, int] | None, says: str, last: int
    ) -> Came:
        """Return what the runs came to; *says* is the pattern of what the first one says."""
        found = re.search(says, " ".join(first[1].split()))
        server = self.server
        return Came(
            *(fault, server.sent.total(), server.answered.total()),
            *(sum(n > 1 for n in server.answered.values()), kept, (first[0], last)),
            found[0] if found else f"nothing of {says!r}",
        )


def _ended(run: subprocess.Popen[str]) -> tuple[int, str]:
    printed = run.communicate()[0]
    return run.returncode, printed


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """Mount a file system of *size* in memory at *folder* until the block ends."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def remount(folder: Path, options: str) -> None:
    """Change the *options* of the file system at *folder*."""
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


CACHE = "--ftgate-cache=small/cache.sqlite"


def disk_full(project: Project) -> Came:
    """Fill a real file system during the run; then make it larger, and import what is aside."""
    small = project.folder / "small"
    with mounted(small, "320k"):
        first = project.run(CACHE)
        answered = project.server.answered.total()
        remount(small, "size=64m")
        for aside in set(re.findall(r"cache import (\S+\.jsonl)", first[1])):
            verb = [sys.executable, "-m", "pytest_ftgate.cli.main", "cache", "import", aside]
            verb[1:3] = ["-c", "from pytest_ftgate.cli.main import main; raise SystemExit(main())"]
            subprocess.run(
                [*verb, CACHE.replace("--ftgate-", "--")], cwd=project.folder, check=True
            )
        kept = (project.kept("small/cache.sqlite"), answered)
        last, _ = project.run(CACHE)
    return project.came("the disk is full", first, kept, r"cannot be written: [^;]*", last)


def read_only(project: Project) -> Came:
    """Make the file system of the cache read-only before the run; then writable again."""
    small = project.folder / "small"
    with mounted(small, "64m"):
        remount(small, "ro")
        first = project.run(CACHE)
        sent = project.server.sent.total()
        remount(small, "rw")
        last, _ = project.run(CACHE)
    return project.came("the folder is read-only", first, (0, sent), r"cannot be \w+: [^;]*", last)


def clock_back(project: Project) -> Came:
    """Run with a C library whose clock loses an hour in each second; then with the usual one."""
    source, library = project.folder / "clock.c", project.folder / "clock.so"
    source.write_text(CLOCK, "utf-8")
    build = ("cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl")
    subprocess.run(build, check=True)
    first = project.run(LD_PRELOAD=str(library))
    kept = (project.kept(), project.server.answered.total())
    last, _ = project.run()
    return project.came("the clock goes back", first, kept, r"PASSED \d+ gates", last)


def terminated(project: Project) -> Came:
    """Send SIGTERM when a third of the requests has come; then run again."""
    run = project.start()
    while project.server.sent.total() < CASES // 3:
        time.sleep(0.005)
    run.send_signal(signal.SIGTERM)
    first = _ended(run)
    kept = (project.kept(), project.server.answered.total())
    last, _ = project.run()
    return project.came("SIGTERM", first, kept, r"no gate was evaluated[^;]*", last)


def silent(project: Project) -> Came:
    """Never answer after the first quarter; then mend the server."""
    conftest = project.folder / "conftest.py"
    conftest.write_text(HASTY, "utf-8")
    project.server.silent_after = CASES // 4
    first = project.run()
    kept = (project.kept(), project.server.answered.total())
    project.server.silent_after = sys.maxsize
    conftest.unlink()
    last, _ = project.run()
    return project.came(
        "a server never answers",
        first,
        kept,
        r"no reply in \d+ attempts; last: no reply in time",
        last,
    )


def storm(project: Project) -> Came:
    """Refuse all requests for a time with status 429, and then most of them."""
    project.server.limit = LIMIT
    first = project.run()
    kept = (project.kept(), project.server.answered.total())
    last, _ = project.run()
    return project.came("a storm of status 429", first, kept, r"PASSED \d+ gates", last)


def two_processes(project: Project) -> Came:
    """Run twice at once, on one cache."""
    runs = [project.start() for _ in range(2)]
    (code, printed), (last, _) = [_ended(run) for run in runs]
    kept = (project.kept(), project.server.answered.total())
    return project.came("two runs use one cache", (code, printed), kept, r"PASSED \d+ gates", last)


FAULTS: dict[str, Callable[[Project], Came]] = {
    "disk-full": disk_full,
    "read-only": read_only,
    "clock-back": clock_back,
    "sigterm": terminated,
    "silent-server": silent,
    "429-storm": storm,
    "two-processes": two_processes,
}


def came_to(name: str) -> Came:
    """Run one fault in a folder of its own."""
    rows = [
        {"id": f"t{n}", "input": f"Ticket {n}", "expected": LABELS[n % 2]} for n in range(CASES)
    ]
    with tempfile.TemporaryDirectory() as folder, serving() as server:
        project = Project(Path(folder).resolve(), server)
        write_rows(project.folder / "c.jsonl", rows)
        suite = SUITE.format(url=server.url)
        (project.folder / "s.ftgate.yaml").write_text(suite, "utf-8")
        return FAULTS[name](project)


def main(words: list[str]) -> int:
    """Run the faults that are named, or all of them, and print what each came to."""
    names = [word for word in words if word != "--keep"] or [*FAULTS]
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    broken = []
    for name in names:
        came = came_to(name)
        print(f"{name}: {came}", flush=True)
        broken += [] if came.is_sound else [name]
        kept[name] = {**asdict(came), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    if "--keep" in words:
        KEPT.write_text(f"{json.dumps(kept, indent=1)}\n", "utf-8")
    print(f"broken: {', '.join(broken)}" if broken else "each held")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
