"""The gate beside other tools that send the same requests: whole processes, cold and warm.

    python benchmarks/peers.py HARNESS [--cases N] [--rounds N] [--warm-rounds N] [NAME ...]

HARNESS is a writable folder with the installed tools and the scripts that run them:
``bench.py N IN_FLIGHT LATENCY_MS ROUNDS [NAME ...]`` runs the named tools, or all, in turn and
writes ``results/peers_….json``; ``bench_cache.py`` runs those that cache replies, cold and then
warm, and writes ``results/cache_….json``. Both include ``peers/ftgate/bench_ftgate.sh``, which this
script writes. It starts the server in ``stub/`` (a C compiler is needed), runs both, and prints
medians with the ratio of each to the gate. 50 requests are in flight, and a reply takes 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from engine import LABELS, case, serving

OURS = "bench_ftgate"
FLYING, LATENCY = 50, 50
SUITE = f"""\
prompt: prompt.md
cases: cases.jsonl
reply: {{format: {{choice: [{", ".join(LABELS)}]}}, max_tokens: 16}}
variants:
  current: {{provider: anthropic, model: stub, base_url_env: URL, api_key_env: STUB_KEY}}
gates: {{accuracy: {{min: 0.9}}}}
"""
#: The gate is green if all replies came and are right.
SLOT = """\
#!/bin/sh
cd "{folder}" && PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 exec "{python}" -c '
import sys, pytest
code = pytest.main(sys.argv[1:])
print("acc", 1 if code == 0 else 0)
sys.exit(code)
' -q --ftgate -p pytest_ftgate -p no:cacheprovider --ftgate-concurrency="$CONC" \\
  --ftgate-cache="${{FTGATE_CACHE:-/tmp/ftgate_bench_cache}}/cache.sqlite"
"""


def prepared(harness: Path, cases: int) -> None:
    """Write the cases that the tools read, a suite of the same cases, and its script."""
    rows = "".join(f"{json.dumps(case(number))}\n" for number in range(cases))
    folder = harness / "peers" / "ftgate"
    # Files of an earlier run name another address.
    for stale in (harness / "peers").glob("*/cfg_*.json"):
        stale.unlink()
    for place in (folder, harness / "data", harness / "results"):
        place.mkdir(parents=True, exist_ok=True)
    (harness / "data" / f"cases_{cases}.jsonl").write_text(rows)
    (folder / "cases.jsonl").write_text(rows)
    (folder / "prompt.md").write_text(f"Classify the message: {', '.join(LABELS)}.\n")
    (folder / "all.ftgate.yaml").write_text(SUITE)
    slot = folder / "bench_ftgate.sh"
    slot.write_text(SLOT.format(folder=folder, python=sys.executable))
    slot.chmod(0o755)


def labelled(harness: Path, cases: int, url: str) -> None:
    """Give promptfoo's provider a name: without one promptfoo caches no replies."""
    folder = harness / "peers" / "promptfoo"
    if (folder / "gen.py").is_file():
        told = (str(cases), url, f"cfg_{cases}_lab.json", "lab")
        subprocess.run([sys.executable, "gen.py", *told], cwd=folder, check=True)


def ran(harness: Path, script: str, found: str, *told: object) -> dict[str, list[dict[str, Any]]]:
    """Run a script of the harness; return its measurements, by tool."""
    (harness / found).unlink(missing_ok=True)
    command = [sys.executable, str(harness / script), *map(str, told)]
    with tempfile.TemporaryFile() as said:
        status = subprocess.run(command, cwd=harness, stdout=said, stderr=said, check=False)
        said.seek(0)
        if status.returncode:
            raise SystemExit(said.read().decode()[-3000:])
    results: dict[str, list[dict[str, Any]]] = json.loads((harness / found).read_text())
    return results


def table(title: str, found: dict[str, list[dict[str, Any]]], ours: str) -> None:
    """Print medians, fastest first, and their ratios to the gate."""
    walls = {name: median(run["wall"] for run in runs) for name, runs in found.items()}
    print(f"{title:32}{'wall s':>8}{'CPU s':>8}{'requests':>10}{'times the gate':>16}")
    for name in sorted(walls, key=lambda name: walls[name]):
        runs = found[name]
        if any(run["rc"] for run in runs):
            print(f"{name:32}  failed: {runs[-1]['acc']}", flush=True)
            continue
        cpu, sent = (median(run[key] for run in runs) for key in ("cpu", "total"))
        ratio = walls[name] / walls[ours]
        print(f"{name:32}{walls[name]:8.2f}{cpu:8.2f}{sent:10.0f}{ratio:16.2f}", flush=True)


def main() -> None:
    """Measure both and print the tables."""
    parser = argparse.ArgumentParser(description="Measure the gate beside other tools.")
    parser.add_argument("harness", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of bench.py; default: all")
    parser.add_argument("--cases", type=int, default=1_000, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s; 0: none")
    parser.add_argument("--warm-rounds", type=int, default=1, help="default: %(default)s; 0: none")
    given = parser.parse_intermixed_args()
    harness, cases = given.harness.resolve(), given.cases
    prepared(harness, cases)
    sizes = (cases, FLYING, LATENCY)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as root, serving(Path(root)) as url:
        os.environ |= {"BENCH": str(harness), "BENCH_PORT": url.rpartition(":")[2]}
        os.environ["STUB_KEY"] = "none"
        keys = f"[pytest]\nftgate_keys = STUB_KEY@{urlsplit(url).netloc}\n"
        (harness / "peers" / "ftgate" / "pytest.ini").write_text(keys)
        if given.rounds:
            names = [*given.names, OURS] if given.names else []
            file = f"results/peers_{cases}_{FLYING}_{LATENCY}.json"
            table(
                f"{cases:,} sent",
                ran(harness, "bench.py", file, *sizes, given.rounds, *names),
                OURS,
            )
        if given.warm_rounds:
            labelled(harness, cases, url)
            file = f"results/cache_{cases}.json"
            found = ran(harness, "bench_cache.py", file, *sizes, given.warm_rounds)
            warm = {name: runs for name, runs in found.items() if name.endswith("warm")}
            table(f"{cases:,} cached", warm, f"{OURS} warm")


if __name__ == "__main__":
    main()
