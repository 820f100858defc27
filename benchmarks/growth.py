"""How a run grows with its cases: seconds, CPU, memory and the cache, sent and then replayed.

    python benchmarks/growth.py [CASES ...] [--replayed CASES] [OPTIONS OF PYTEST ...]

Builds the stub of the Messages API and starts it without any latency, so that only this package and
its SDK are measured. For each number of cases (1,000, 10,000 and 100,000 without arguments) one
suite with one gate runs twice, each time in a process of its own: with all requests sent, 64 in
flight, and then with all replies in the cache. ``--replayed`` measures one more size with a cache
that is filled without any request, since to send a million takes half an hour. The last line has
what one case more costs, by the two largest sizes. On two cores 100,000 cases take minutes. With
``-oftgate_engine=ray`` the workers of a Ray cluster on this machine send the requests.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

SIZES = (1_000, 10_000, 100_000)
PORT = 8953
FLYING = 64
#: Replies that are stored at once.
BATCH = 20_000
HERE = Path(__file__).parent
#: The stub, in this repository or where BENCH says.
STUBS = (HERE / "stub" / "stub.c", Path(os.environ.get("BENCH", HERE)) / "stub" / "stub.c")
LABELS = (
    *("billing", "refund", "shipping", "delivery_delay", "damaged_item", "wrong_item"),
    *("account_access", "password_reset", "cancel_order", "change_address", "product_question"),
    *("stock_inquiry", "warranty", "technical_issue", "complaint", "praise", "subscription"),
    "other",
)
WORDS = (
    *("order", "parcel", "late", "open", "help", "login", "invoice"),
    *("card", "store", "colour", "size", "email", "date", "week"),
)
SUITE = f"""\
prompt: p.md
cases: c.jsonl
reply: {{format: {{choice: [{", ".join(LABELS)}]}}, max_tokens: 16}}
variants:
  current:
    provider: anthropic
    model: stub-acc95
    base_url: http://127.0.0.1:{PORT}
    api_key_env: STUB_KEY
gates: {{accuracy: {{min: 0.5}}}}
"""


class Taken(NamedTuple):
    """Resources of one run: seconds, seconds of CPU, peak megabytes."""

    wall: float
    cpu: float
    peak: float


def label(number: int) -> str:
    """Return the label that the stub gives case *number*: FNV-1a of its digits."""
    found = 2166136261
    for byte in f"{number:07}".encode():
        found = ((found ^ byte) * 16777619) & 0xFFFFFFFF
    return LABELS[found % len(LABELS)]


def written(folder: Path, cases: int) -> None:
    """Write a suite of *cases* tickets of about 60 words."""
    drawn = random.Random(0)
    with (folder / "c.jsonl").open("w") as stream:
        for number in range(cases):
            text = f"#case-{number:07} {' '.join(drawn.choices(WORDS, k=59))}"
            row = {"id": f"c{number:07}", "input": text, "expected": label(number)}
            stream.write(f"{json.dumps(row)}\n")
    (folder / "p.md").write_text("Answer with one label.\n")
    (folder / "s.ftgate.yaml").write_text(SUITE)
    (folder / "pytest.ini").write_text(f"[pytest]\nftgate_keys = STUB_KEY@127.0.0.1:{PORT}\n")


def run(folder: Path, options: list[str]) -> Taken:
    """Run the suite in *folder* in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--ftgate"]
    command += [f"--ftgate-concurrency={FLYING}", "--rootdir=.", *options]
    start = time.perf_counter()
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit((folder / "said.txt").read_text())
    wall = time.perf_counter() - start
    return Taken(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


def measured(cases: int, options: list[str]) -> tuple[Taken, Taken, float]:
    """Return the resources of sending and of replaying, and the cache's megabytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(folder, cases)
        asked, replayed = run(folder, options), run(folder, options)
        size = sum(file.stat().st_size for file in (folder / ".ftgate").glob("cache*"))
    return asked, replayed, size / 1e6


def replayed(cases: int, options: list[str]) -> tuple[Taken, float]:
    """Return the resources of replaying from a filled cache, and the cache's megabytes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written(folder, cases)
        # In a process of its own, whose memory is free again when the run begins.
        subprocess.run([sys.executable, __file__, "--fill", name], check=True)
        taken = run(folder, [*options, "--ftgate-replies=recorded"])
        size = sum(file.stat().st_size for file in (folder / ".ftgate").glob("cache*"))
    return taken, size / 1e6


def filled(folder: Path) -> None:
    """Store a right reply to each request of the suite in *folder*."""
    from pytest_ftgate.cache.cache import Cache
    from pytest_ftgate.cache.sqlite import CacheEntry
    from pytest_ftgate.requests.reply import Reply
    from pytest_ftgate.requests.request_groups import task_requests
    from pytest_ftgate.suite.loader import load_suite

    suite = load_suite(folder / "s.ftgate.yaml", folder)
    requests = task_requests(suite, suite.variants["current"], os.environ)
    cache = Cache(folder / ".ftgate" / "cache.sqlite", run="filled", clock=time.time)
    for start in range(0, len(requests), BATCH):
        entries = [
            CacheEntry(
                fingerprint=one.fingerprint,
                run="filled",
                at=time.time(),
                provider=one.request.provider,
                model=one.request.model,
                reply=Reply(
                    text=str(one.case.expected),
                    model=one.request.model,
                    usage={"input": 100, "output": 3},
                    request_id=f"msg_{start + number:024}",
                ),
            )
            for number, one in enumerate(requests[start : start + BATCH])
        ]
        cache.add(entries)
    cache.close()


def row(cases: int, asked: Taken | None, replayed: Taken, cache: float) -> str:
    """Return one line of the table."""
    shown = [
        f"{one.wall:9.1f} {one.cpu:9.1f} {one.peak:8.0f}" if one else " " * 28
        for one in (asked, replayed)
    ]
    return f"{cases:>9,}  {'  '.join(shown)}  {cache:9.1f}"


def growth(what: str, sizes: list[tuple[int, Taken]]) -> str:
    """Return what one case more costs, by the two largest of *sizes*; "" for a single one."""
    if len(sizes) < 2:
        return ""
    (small, before), (large, after) = sizes[-2:]
    cpu, peak = ((b - a) / (large - small) for a, b in zip(before[1:], after[1:], strict=True))
    return f"one case more, {what}: {cpu * 1e3:.2f} ms of CPU, {peak * 1e3:.1f} kB"


def started(folder: Path) -> subprocess.Popen[bytes]:
    """Build and start the stub."""
    source = next(path for path in STUBS if path.exists())
    built = folder / "stub"
    subprocess.run(["cc", "-O2", "-o", built, source, "-lm"], check=True)
    stub = subprocess.Popen([built, "--port", str(PORT), "--latency_ms", "0"])
    for _ in range(100):
        try:
            urlopen(f"http://127.0.0.1:{PORT}/health", timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return stub
    raise SystemExit("the stub does not start")


def main(sizes: tuple[int, ...], largest: int, options: list[str]) -> None:
    """Measure each size and print the table; *largest* is replayed alone, if it is not 0."""
    os.environ |= {"STUB_KEY": "none", "NO_PROXY": "127.0.0.1"}
    # Without bytecode every run would compile the package anew, which no user's does.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(f"{'':>9}  {'sent':>28}  {'replayed':>28}  {'cache':>9}")
    each = f"{'s':>9} {'CPU s':>9} {'MB':>8}"
    print(f"{'cases':>9}  {each}  {each}  {'MB':>9}")
    sent, again = list[tuple[int, Taken]](), list[tuple[int, Taken]]()
    with tempfile.TemporaryDirectory() as name:
        stub = started(Path(name))
        try:
            for cases in sizes:
                asked, kept, size = measured(cases, options)
                sent.append((cases, asked))
                again.append((cases, kept))
                print(row(cases, asked, kept, size), flush=True)
        finally:
            stub.terminate()
            stub.wait()
    if largest:
        kept, size = replayed(largest, options)
        again.append((largest, kept))
        print(row(largest, None, kept, size), flush=True)
    print(*filter(None, (growth("sent", sent), growth("replayed", again))), sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replayed", type=int, default=0, metavar="CASES")
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    given, others = parser.parse_known_args()
    if given.fill:
        filled(given.fill)
    else:
        main(
            tuple(int(one) for one in others if one.isdigit()) or SIZES,
            given.replayed,
            [one for one in others if not one.isdigit()],
        )
