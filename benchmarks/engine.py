"""The overhead of the gate beside a bare loop over the same SDK that sends the same requests.

    python benchmarks/engine.py [--rounds N] [--without-prices] [NAME ...]

It builds the server in ``stub/`` (a C compiler is needed), which answers after a fixed time. It
measures whole processes, the gate and its comparison in turn:

- ``run``: 1,000 cases, 50 in flight, 50 ms a reply: wall time
- ``one``: one case: wall time. The line below shows what the bare loop takes as a test of pytest. A
  plugin that uses this SDK takes at least as long
- ``cpu``: 5,000 cases, 200 in flight: processor time
- ``kept``: 10,000 cases whose replies are all in the cache: wall time beside a bare loop that sends
  one request, which is mostly the import of the SDK
- ``far``: 1,000 cases, 50 in flight, about 800 ms a reply (lognormal): seconds beyond those of a
  simulated loop without start, end and work, in both
- ``faults``: 1,000 cases; 5 % of the requests each get 429, 529, 500, a reset, half a body and a
  reply that takes 20 times as long, by another seed each round: wall time beside a run without
  such errors, both with the concurrency that the gate learns. Every case must be answered, by one
  request for each case and one more for each error. The line below shows the server's part of the
  difference: the wait for the last slow reply, and the retries, at the pace of the run without
  errors
- ``refused``: 1,000 cases; a quarter of the requests get 429 at random, without retry-after: wall
  time beside a run without refusals, both with the concurrency that the gate learns. The line below
  shows how many requests a server refuses that accepts 100 a second
- ``suites``: 200 suites of 25 cases beside one suite of 5,000: wall time

It prints medians, their ratio and its limit. `--without-prices` measures the gate as if the extra
``prices`` were not installed; the figures should be about the same both ways. Run it on an idle
machine; on a busy one the ratios are more reliable than the seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heapreplace
from importlib.util import find_spec
from itertools import count, islice
from math import cos, exp, log, sqrt, tau
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit
from urllib.request import urlopen

HERE = Path(__file__).parent
LABELS = (
    *("billing", "refund", "shipping", "delivery_delay", "damaged_item", "wrong_item"),
    *("account_access", "password_reset", "cancel_order", "change_address", "product_question"),
    *("stock_inquiry", "warranty", "technical_issue", "complaint", "praise", "subscription"),
    "other",
)
PROMPT = f"Classify the message into one of: {', '.join(LABELS)}. Answer with the label only.\n"
#: About sixty words, as long as a customer's message.
FILLING = "the customer writes that the order came late and asks for help with a refund " * 4
SUITE = """\
prompt: prompt.md
cases: NAME.cases.jsonl
reply: {max_tokens: 16}
variants: {current: {provider: anthropic, model: stub, base_url: URL}}
gates: {accuracy: {min: 0.04EVIDENCE}}
"""
LOOP = """\
import asyncio, json, sys
from pathlib import Path
import anthropic, httpx2

async def main(url, folder, concurrency):
    prompt = (folder / "prompt.md").read_text()
    lines = (folder / "all.cases.jsonl").read_text().splitlines()
    cases, right = iter([json.loads(line) for line in lines]), 0
    limits = httpx2.Limits(max_connections=0)
    http = anthropic.DefaultAioHttpClient(limits=limits)
    async with anthropic.AsyncAnthropic(base_url=url, http_client=http, max_retries=0) as client:
        async def work():
            nonlocal right
            for case in cases:
                asked = [{"role": "user", "content": case["input"]}]
                message = await client.messages.create(
                    model="stub", max_tokens=16, system=prompt, messages=asked)
                right += message.content[0].text == case["expected"]
        await asyncio.gather(*(work() for _ in range(concurrency)))
    print(right, "right")
"""
BARE = f"""{LOOP}
asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
"""
HOSTED = f"""{LOOP}
def test_loop():
    asyncio.run(main("URL", Path("FOLDER"), 1))
"""
#: Starts pytest; modules whose names stand in the first argument are not found.
PYTEST = """\
import sys
sys.modules |= dict.fromkeys(sys.argv.pop(1).split())
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""
#: The module of the extra `prices`.
PRICES = "genai_prices"
FAULTS = ("f429", "f529", "f500", "freset", "fmalformed", "fslow")
#: Seconds that a reply takes, and that an overloaded server sends as retry-after.
LATENCY = 0.05
#: The requests a second of a server with a rate limit.
LIMIT = 100
#: Mean seconds of a reply from a distant server, and the spread.
FAR, SPREAD = 0.8, 0.5
#: The range of the server's random numbers.
WORD = 2**64 - 1
#: The additional seconds of a slow reply.
SLOWER = 19 * LATENCY


@dataclass(frozen=True, slots=True)
class Took:
    """What one process took, in seconds."""

    wall: float
    cpu: float


def fnv1a(text: str) -> int:
    """Return the hash by which the server chooses its answer."""
    found = 2166136261
    for byte in text.encode():
        found = ((found ^ byte) * 16777619) & 0xFFFFFFFF
    return found


def case(number: int) -> dict[str, str]:
    """Return a case that the server answers correctly."""
    digits = f"{number:06}"
    label = LABELS[fnv1a(digits) % len(LABELS)]
    return {"id": f"c{digits}", "input": f"#case-{digits} {FILLING}", "expected": label}


@dataclass(slots=True)
class Bench:
    """A folder to work in, and the server.

    Attributes:
        hidden: names of modules that the gate does not find.
        number: of the next folder.
        notes: what a round tells besides its two figures.
    """

    root: Path
    url: str
    hidden: str = ""
    number: int = 0
    notes: list[str] = field(default_factory=list)

    def tell(self, **options: float) -> None:
        """Set options of the server, and reset its counters."""
        wanted = {"latency_ms": LATENCY * 1000, "rps": 0, "retry_after": 1}
        wanted |= dict.fromkeys(FAULTS, 0.0) | options
        query = "&".join(f"{name}={value}" for name, value in wanted.items())
        for path in (f"config?{query}", "reset"):
            urlopen(f"{self.url}/{path}").read()

    def stats(self) -> dict[str, float]:
        """Return the server's counters."""
        counters: dict[str, float] = json.load(urlopen(f"{self.url}/stats"))
        return counters

    def folder(self, cases: int, suites: int = 1) -> Path:
        """Write suites with *cases* cases in all."""
        self.number += 1
        folder = self.root / f"suites-{self.number}"
        folder.mkdir()
        lines = [f"{json.dumps(case(number))}\n" for number in range(cases)]
        (folder / "prompt.md").write_text(PROMPT)
        (folder / "all.cases.jsonl").write_text("".join(lines))
        keys = f"[pytest]\nftgate_keys = ANTHROPIC_API_KEY@{urlsplit(self.url).netloc}\n"
        (folder / "pytest.ini").write_text(keys)
        for number in range(suites):
            name = f"s{number:03}"
            part = lines[number * cases // suites : (number + 1) * cases // suites]
            (folder / f"{name}.cases.jsonl").write_text("".join(part))
            # A single case shows nothing about others.
            evidence = ", evidence: point" if len(part) == 1 else ""
            text = SUITE.replace("NAME", name).replace("URL", self.url)
            text = text.replace("EVIDENCE", evidence)
            (folder / f"{name}.ftgate.yaml").write_text(text)
        return folder

    def gate(
        self, folder: Path, concurrency: int = 0, *, kept: bool = False, sign: str = "PASSED"
    ) -> Took:
        """Run the gate on the suites of *folder*, with requests or with cached replies.

        Without *concurrency* the gate learns how many requests may be in flight.
        """
        if not kept:
            shutil.rmtree(folder / ".ftgate", ignore_errors=True)
        # A single case decides nothing, so the gate is a plain threshold.
        lenient = "--ftgate-inconclusive=warn"
        told = ["-q", "--ftgate", lenient]
        told += [f"--ftgate-concurrency={concurrency}"] if concurrency else []
        plugin = ("-p", "pytest_ftgate", "-p", "no:cacheprovider")
        start = (sys.executable, "-c", PYTEST, self.hidden)
        return measured([*start, *plugin, *told], folder, sign)

    def bare(self, folder: Path, concurrency: int) -> Took:
        """Send the same requests to the same server in a bare loop."""
        arguments = (self.url, str(folder), str(concurrency))
        return measured([sys.executable, "-c", BARE, *arguments], folder, " right")

    def hosted(self, folder: Path) -> Took:
        """Send the requests one by one in the bare loop, run as a test of pytest."""
        test = self.root / "test_bare.py"
        test.write_text(HOSTED.replace("URL", self.url).replace("FOLDER", str(folder)))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
        return measured(command, self.root, "1 passed")


def measured(command: list[str], folder: Path, sign: str) -> Took:
    """Run *command*, which prints *sign* if it succeeds."""
    # Plugins of this environment are not measured; without bytecode all would be compiled anew.
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environ |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "ANTHROPIC_API_KEY": "none"}
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=output)
        _, _, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = 0  # it has been waited for
        output.seek(0)
        printed = output.read().decode()
    if sign not in printed:
        raise SystemExit(f"{' '.join(command[-4:])} …\n{printed[-3000:]}")
    return Took(wall, used.ru_utime + used.ru_stime)


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """Build and start the server."""
    program = root / "stub"
    source = str(HERE / "stub" / "stub.c")
    subprocess.run(["cc", "-O2", "-o", str(program), source, "-lm"], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([program, "--port", str(port)]) as process:
        time.sleep(0.5)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


#: One round: a measurement, and the one that it is compared with (1 for none).
Round = Callable[[], tuple[float, float]]


def run(bench: Bench) -> Round:
    """Compare wall times of 1,000 cases."""
    return beside_bare(bench, cases=1_000, concurrency=50, what="wall")


def one(bench: Bench) -> Round:
    """Compare wall times of one case."""
    compare, folder = beside_bare(bench, cases=1, concurrency=1, what="wall"), bench.folder(1)

    def round_() -> tuple[float, float]:
        gate, bare = compare()
        hosted = bench.hosted(folder).wall
        bench.notes.append(f"  the loop in a test {hosted:.2f} s, {hosted / bare:.2f}")
        return gate, bare

    return round_


def cpu(bench: Bench) -> Round:
    """Compare processor times with many requests in flight."""
    return beside_bare(bench, cases=5_000, concurrency=200, what="cpu")


def beside_bare(bench: Bench, *, cases: int, concurrency: int, what: str) -> Round:
    """Compare the gate with the bare loop."""
    folder = bench.folder(cases)

    def round_() -> tuple[float, float]:
        bench.tell()
        took = bench.gate(folder, concurrency), bench.bare(folder, concurrency)
        return getattr(took[0], what), getattr(took[1], what)

    return round_


def kept(bench: Bench) -> Round:
    """Compare the wall time of a run that sends no request with that of one bare request."""
    folder, single = bench.folder(10_000), bench.folder(1)
    bench.tell(latency_ms=0)
    bench.gate(folder, 50)

    def round_() -> tuple[float, float]:
        bench.tell()
        took = bench.gate(folder, 50, kept=True).wall
        if bench.stats()["messages"]:
            raise SystemExit("kept: a request was sent")
        return took, bench.bare(single, 1).wall

    return round_


def far(bench: Bench) -> Round:
    """Compare the seconds beyond the simulated minimum, at the latency of real servers."""
    cases, concurrency = 1_000, 50
    folder = bench.folder(cases)
    seeds = count(1)

    def round_() -> tuple[float, float]:
        seed = next(seeds)
        bench.tell(latency_ms=FAR * 1000, sigma=SPREAD, seed=seed)
        took = bench.gate(folder, concurrency).wall
        bench.tell(latency_ms=FAR * 1000, sigma=SPREAD, seed=seed)
        bare = bench.bare(folder, concurrency).wall
        bench.tell(sigma=0, seed=1)
        least = simulated(cases, concurrency, drawn(seed))
        told = f"the least is {least:.2f} s, the gate took {took:.2f}, the bare loop {bare:.2f}"
        bench.notes.append(f"  {told}")
        return took - least, bare - least

    return round_


def simulated(cases: int, concurrency: int, takes: Iterator[float]) -> float:
    """Return the time at which the last of *cases* ends; each starts when a slot is free."""
    ends = [0.0] * concurrency
    for took in islice(takes, cases):
        heapreplace(ends, ends[0] + took)
    return max(ends)


def drawn(seed: int) -> Iterator[float]:
    """Yield the seconds of replies, as the server draws them (xorshift64*, Box-Muller)."""
    state = (seed * 0x9E3779B97F4A7C15 | 1) & WORD

    def uniform() -> float:
        nonlocal state
        state ^= state << 13 & WORD
        state ^= state >> 7
        state ^= state << 17 & WORD
        return (((state * 0x2545F4914F6CDD1D & WORD) >> 11) + 0.5) / 2**53

    while True:
        normal = sqrt(-2 * log(uniform())) * cos(tau * uniform())
        yield FAR * exp(SPREAD * normal - SPREAD**2 / 2)


def faults(bench: Bench) -> Round:
    """Compare wall times with and without errors, and count the requests."""
    cases = 1_000
    folder = bench.folder(cases)
    seeds = count(1)

    def round_() -> tuple[float, float]:
        bench.tell(**dict.fromkeys(FAULTS, 0.05), retry_after=LATENCY, seed=next(seeds))
        took = bench.gate(folder, sign=f"{cases:,} requested").wall
        told = bench.stats()
        troubles = sum(told[name] for name in ("s429", "s529", "s500", "reset", "malformed"))
        # Requests for facts about the model get errors as well, and are not retried.
        if not cases <= told["messages"] <= cases + troubles:
            raise SystemExit(f"faults: {told['messages']} requests, {cases} cases, {troubles}")
        bench.tell()
        clean = bench.gate(folder).wall
        pace = bench.stats()
        again = (told["messages"] - cases) * (pace["last"] - pace["first"]) / cases
        least = (clean + SLOWER + again) / clean
        bench.notes.append(
            f"  of {took - clean:.2f} s more: {SLOWER:.2f} s the last slow reply, {again:.2f} s "
            f"{told['messages'] - cases:.0f} requests again; these alone make {least:.2f}"
        )
        return took, clean

    return round_


def refused(bench: Bench) -> Round:
    """Compare wall times with and without refusals at random."""
    cases = 1_000
    folder = bench.folder(cases)
    seeds = count(1)

    def round_() -> tuple[float, float]:
        seed, sign = next(seeds), f"{cases:,} requested"
        bench.tell(f429=0.25, retry_after=-1, seed=seed)
        took = bench.gate(folder, sign=sign).wall
        share = bench.stats()["s429"] / bench.stats()["messages"]
        bench.tell()
        clean = bench.gate(folder, sign=sign).wall
        bench.tell(rps=LIMIT, retry_after=-1, seed=seed)
        bench.gate(folder, sign=sign)
        limited = bench.stats()
        bench.tell()
        bench.notes.append(
            f"  {share:.0%} refused at random; {limited['s429'] / limited['messages']:.0%} by a "
            f"server of {LIMIT} a second, which took {limited['last'] - limited['first']:.1f} s"
        )
        return took, clean

    return round_


def suites(bench: Bench) -> Round:
    """Compare wall times of many suites and of one."""
    many, single = bench.folder(5_000, suites=200), bench.folder(5_000)

    def round_() -> tuple[float, float]:
        bench.tell()
        return bench.gate(many, 50).wall, bench.gate(single, 50).wall

    return round_


#: By name: the function that makes the rounds, and the limit of the ratio. The first five limits
#: are a tenth above the ratios of version 0.1.0 without its changes to the garbage collector and to
#: pytest's import hook, measured in turn with this version on one machine.
ALL: dict[str, tuple[Callable[[Bench], Round], float]] = {
    "run": (run, 1.7),
    "one": (one, 2.0),
    "cpu": (cpu, 1.7),
    "kept": (kept, 1.3),
    "far": (far, 1.9),
    "faults": (faults, 1.5),
    "refused": (refused, 2.0),
    "suites": (suites, 1.15),
}


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(description="Measure what asking through the gate costs.")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--without-prices", action="store_true", help="hide genai-prices")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}")
    given = parser.parse_args()
    names = given.names or list(ALL)
    met = True
    with tempfile.TemporaryDirectory() as root, serving(Path(root)) as url:
        has_prices = find_spec(PRICES) is not None and not given.without_prices
        bench = Bench(Path(root), url, hidden="" if has_prices else PRICES)
        extra = "with" if has_prices else "without"
        print(f"medians of {given.rounds}, seconds; {extra} the extra prices")
        print("          gate  beside   ratio  at most")
        for name in names:
            make, most = ALL[name]
            round_ = make(bench)
            taken = [round_() for _ in range(given.rounds)]
            ours, theirs = (median(column) for column in zip(*taken, strict=True))
            ratio = median(a / b for a, b in taken)
            met = met and ratio <= most
            told = "" if ratio <= most else "  NOT MET"
            print(f"{name:8}{ours:6.2f}{theirs:8.2f}{ratio:8.2f}{most:9.2f}{told}", flush=True)
            print(*bench.notes, sep="\n", end="\n" if bench.notes else "", flush=True)
            bench.notes.clear()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
