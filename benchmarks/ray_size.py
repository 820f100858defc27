"""From how many requests on a Ray cluster pays, and whether its verdicts are those of one machine.

    python benchmarks/ray_size.py [--nodes N] [--ms N] [REQUESTS ...]

Starts a cluster of nodes on this machine (2 without an argument). A function of Python answers; it
takes 20 ms and one request at a time on each node, as a local model would, and waits meanwhile, so
that the nodes share no processor. For each number of requests (200 and 1,000 without arguments) one
suite runs by itself and on the cluster, whole processes without a cache. Both must reach the same
outcome by the same checks. The last line has the number at which both take equally long, by the
straight lines through the two largest sizes. Needs ``pip install "pytest-ftgate[ray]"``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES, NODES, MS = (200, 1_000), 2, 20
SUITE = """\
prompt: p.md
cases: c.jsonl
reply: {format: {choice: [even, odd]}}
variants:
  counting: {provider: python, function: "answers:answer"}
gates: {accuracy: {min: 0.8}, format: {min: 0.8}}
"""
#: Every tenth case is answered wrongly.
ANSWERS = """\
import time

def answer(case):
    time.sleep({seconds})
    number = int(case.input)
    return ("even", "odd")[(number + (number % 10 == 0)) % 2]
"""


def written(folder: Path, cases: int, milliseconds: float) -> None:
    """Write a suite of so many cases."""
    rows = (
        {"id": f"c{number}", "input": str(number), "expected": ("even", "odd")[number % 2]}
        for number in range(cases)
    )
    (folder / "c.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "p.md").write_text("Even or odd?\n")
    (folder / "s.ftgate.yaml").write_text(SUITE)
    (folder / "answers.py").write_text(ANSWERS.format(seconds=milliseconds / 1000))
    (folder / "pytest.ini").write_text("[pytest]\n")


def run(folder: Path, engine: str) -> tuple[float, list[tuple[str, str, str]]]:
    """Return the seconds of a run without a cache, and what its verdicts are."""
    record = folder / f"{engine}.json"
    command = [sys.executable, "-m", "pytest", "-p", "pytest_ftgate", "-p", "no:cacheprovider"]
    command += ["-q", "--rootdir=.", "--ftgate", f"-oftgate_engine={engine}"]
    command += [f"--ftgate-json={record}", f"--ftgate-cache={folder / engine}.sqlite"]
    paths = [str(folder), *filter(None, sys.path)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environ, check=False, capture_output=True, text=True
    )
    took = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    verdicts = json.loads(record.read_text("utf-8"))["verdicts"]
    return took, sorted((one["gate"], one["outcome"], str(one["checks"])) for one in verdicts)


def measured(cases: int, milliseconds: float) -> tuple[float, float]:
    """Return the seconds alone and on the cluster; both must reach the same verdicts."""
    with tempfile.TemporaryDirectory() as name:
        written(Path(name), cases, milliseconds)
        (alone, first), (spread, second) = (run(Path(name), engine) for engine in ("local", "ray"))
    if first != second:
        raise SystemExit(f"{cases} requests: the verdicts differ: {first}, {second}")
    return alone, spread


def equal_from(sizes: list[tuple[int, float, float]]) -> str:
    """Return from which number of requests on the cluster is faster, as a sentence."""
    (small, *before), (large, *after) = sizes[-2:]
    each = [(b - a) / (large - small) for a, b in zip(before, after, strict=True)]
    fixed = [seconds - large * slope for seconds, slope in zip(after, each, strict=True)]
    if each[1] >= each[0]:
        return "the cluster takes as long for each request, so it does not pay"
    found = (fixed[1] - fixed[0]) / (each[0] - each[1])
    return f"the cluster costs {fixed[1] - fixed[0]:.1f} s at first and pays from {found:,.0f} on"


def main() -> None:
    """Start the cluster, measure each size and print the table."""
    from ray.cluster_utils import Cluster

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--ms", type=float, default=MS)
    parser.add_argument("sizes", nargs="*", type=int)
    given = parser.parse_args()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    for _ in range(given.nodes - 1):
        cluster.add_node(num_cpus=2)
    os.environ["RAY_ADDRESS"] = cluster.address
    print(f"{given.ms:g} ms a request, {given.nodes} nodes; the same verdicts")
    print("requests   alone s  cluster s", flush=True)
    taken = list[tuple[int, float, float]]()
    try:
        for size in given.sizes or SIZES:
            taken.append((size, *measured(size, given.ms)))
            print(f"{size:>8,} {taken[-1][1]:9.1f} {taken[-1][2]:10.1f}", flush=True)
    finally:
        cluster.shutdown()
    if len(taken) > 1:
        print(equal_from(taken))


if __name__ == "__main__":
    main()
