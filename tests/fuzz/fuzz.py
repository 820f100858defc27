"""Fuzz the targets with Atheris, one after the other: ``fuzz.py SECONDS [TARGET ...]``.

The inputs that reach new code are kept in ``.nightly/fuzz/TARGET``, and the next run starts from
them. An input that breaks a target is kept in ``.nightly/fuzz/crashes``: put it into
``tests/fuzz/corpus/TARGET``, where `test_targets.py` runs it from then on.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".nightly/fuzz"
#: An input may take so many seconds, and so many megabytes.
SECONDS, MEGABYTES = 120, 3_000
#: libFuzzer's last words: how many inputs it ran.
EXECUTIONS = re.compile(r"stat::number_of_executed_units: (\d+)")


def main() -> int:
    seconds, *names = sys.argv[1:]
    names = names or ["suite", "foreign", "cache", "adapter", "records", "thoughts", "repair"]
    failed = [name for name in names if not fuzz(name, int(seconds) // len(names))]
    print(f"broken: {', '.join(failed)}" if failed else "clean")
    return bool(failed)


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz the target *name* in a process of its own; return True if nothing broke it."""
    started = time.monotonic()
    crashes = KEPT / "crashes"
    crashes.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--target", name, str(KEPT / name)]
    command += [f"-max_total_time={seconds}", f"-timeout={SECONDS}", f"-rss_limit_mb={MEGABYTES}"]
    command += ["-max_len=8192", "-print_final_stats=1", "-verbosity=0", "-close_fd_mask=0"]
    command += [f"-artifact_prefix={crashes}/{name}-"]
    log = KEPT / f"{name}.log"
    with log.open("w") as output:
        status = subprocess.run(command, check=False, stdout=output, stderr=output).returncode
    text = log.read_text("utf-8", "replace")
    executions = sum(map(int, EXECUTIONS.findall(text)))
    took = time.monotonic() - started
    print(f"{name}: {executions:,} executions in {took:,.0f} s, exit status {status}", flush=True)
    if status:
        print(text[-4_000:])
    return not status


def child(name: str, arguments: list[str]) -> None:
    """Fuzz in this process; libFuzzer ends it."""
    import atheris

    sys.path.insert(0, str(Path(__file__).parent))
    with atheris.instrument_imports(include=["pytest_ftgate", "yaml", "json", "csv"]):
        import targets
    target = targets.TARGETS[name]
    kept = Path(arguments[0])
    kept.mkdir(parents=True, exist_ok=True)
    for data in targets.inputs(name):
        (kept / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    if target.words:
        dictionary = kept.with_suffix(".dict")
        words = (f'"{_escaped(word)}"\n' for word in target.words)
        dictionary.write_text("".join(words), "utf-8")
        arguments = [*arguments, f"-dict={dictionary}"]
    os.chdir(targets.FOLDER)
    atheris.Setup([sys.argv[0], *arguments], target.run)
    atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


if __name__ == "__main__":
    if sys.argv[1] == "--target":
        child(sys.argv[2], sys.argv[3:])
    else:
        raise SystemExit(main())
