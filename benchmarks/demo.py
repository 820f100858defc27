"""Write the recorded replies of ``pytest-ftgate demo`` from a cache of the tickets example.

    pytest --ftgate examples/tickets --ftgate-cache /tmp/tickets.sqlite
    python benchmarks/demo.py /tmp/tickets.sqlite

It first requests what the example leaves out because its gates stop early. Then it overwrites the
replies, the cases and ``about.txt`` in ``pytest_ftgate/demo``. The suite there is written by hand:
it declares the variants and gates of the example with recorded replies.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.cache.sqlite import CacheEntry
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.requests.request_groups import base_variant, skill_requests, task_requests
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.loader import load_suite
from pytest_ftgate.suite.model import Suite

ROOT = Path(__file__).parents[1]
SUITE, DEMO = ROOT / "examples/tickets/tickets.ftgate.yaml", ROOT / "pytest_ftgate/demo"
VARIANTS = ("current", "lora-narrow", "lora-replay")
ABOUT = """\
SmolLM2-135M-Instruct sorted {cases} support tickets into 18 categories: with the current
prompt, and with two LoRA adapters. It also answered {skills} questions of general skills.
These are its replies of {day}, recorded: no model runs now.
"""


def request_all(cache_path: Path) -> None:
    """Run a copy of the example whose gates do not stop early, with the same cache."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "tickets"
        shutil.copytree(SUITE.parent, folder)
        text = SUITE.read_text("utf-8").replace(", stop_early: true", "")
        (folder / SUITE.name).write_text(text, "utf-8")
        command = ["-m", "pytest", "--ftgate", f"--ftgate-cache={cache_path.resolve()}"]
        # Its status is 1: one of the gates fails.
        subprocess.run([sys.executable, *command, str(folder)], check=False, cwd=folder)


def requests_by_file(suite: Suite) -> dict[str, tuple[CaseRequest, ...]]:
    """Return the requests whose replies each file of the demo holds."""
    gate = suite.gates["forgetting"]
    assert isinstance(gate, ForgettingGate)
    files: dict[str, tuple[CaseRequest, ...]] = {}
    for name in VARIANTS:
        variant = suite.variants[name]
        files[name] = task_requests(suite, variant, {})
        if variant.tuned:
            files[name] += skill_requests(suite, variant, gate.cases, {})
            files["base"] = skill_requests(suite, base_variant(variant), gate.cases, {})
    return files


def write_lines(path: Path, requests: Iterable[CaseRequest], entries: dict[str, CacheEntry]) -> int:
    """Write one reply a line; return their number."""
    rows = []
    for request in requests:
        reply = entries[request.fingerprint].reply
        row = {
            "id": request.case.id,
            "text": reply.text,
            "stop": reply.stop,
            "usage": dict(reply.usage),
            "seconds": round(reply.seconds, 3),
        }
        rows.append(json.dumps(row, ensure_ascii=False))
    path.write_text("".join(f"{row}\n" for row in rows), "utf-8")
    return len(rows)


def main(cache_path: Path) -> None:
    """Write the files, and print their sizes."""
    request_all(cache_path)
    suite = load_suite(SUITE, ROOT)
    files = requests_by_file(suite)
    cache = Cache(cache_path, run="demo", clock=time.time)
    wanted = [request.fingerprint for requests in files.values() for request in requests]
    entries = {entry.fingerprint: entry for entry in cache.entries(wanted)}
    cache.close()
    for name, requests in files.items():
        path = DEMO / f"{name}.jsonl"
        print(f"{path.name}: {write_lines(path, requests, entries)} replies")
    shutil.copyfile(SUITE.with_name("tickets.cases.jsonl"), DEMO / "tickets.cases.jsonl")
    day = datetime.fromtimestamp(max(entry.at for entry in entries.values()), UTC).date()
    about = ABOUT.format(cases=len(suite.cases), skills=len(files["base"]), day=day)
    (DEMO / "about.txt").write_text(about, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
