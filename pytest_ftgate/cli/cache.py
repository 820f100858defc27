"""``pytest-ftgate cache``: show, prune, export and import cached replies."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pytest_ftgate.cache.cache import Ledger
from pytest_ftgate.cache.export import read_replies, write_replies
from pytest_ftgate.cache.maintenance import Stock, fault_lines, prune, stock
from pytest_ftgate.cli.suite import opened
from pytest_ftgate.errors import LedgerError, Unavailable, did_you_mean
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.reporting.tables import grid
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.workload import base_of
from pytest_ftgate.runner.identity import asked_anew
from pytest_ftgate.runner.preview import grading_of_kept
from pytest_ftgate.runner.session import Session, whole
from pytest_ftgate.runner.workloads import Judged
from pytest_ftgate.suite.model import ForgettingGate, RateGate, Suite

__all__ = [
    "check",
    "export",
    "export_base",
    "import_",
    "prune_",
    "seconds",
    "show",
    "size",
    "stock_lines",
]


_KB, _MB = 1_000, 1_000_000


def size(count: int) -> str:
    """Return a number of bytes as a person would say it."""
    return f"{count / _MB:,.1f} MB" if count >= _MB else f"{count / _KB:,.0f} kB"


def stock_lines(name: str, held: Stock) -> Iterator[str]:
    """Yield what the ledger *name* holds, by provider and model."""
    replies = sum(one.replies for one in held.models)
    claims = f", {held.claims:,} being asked or left by a killed run" if held.claims else ""
    yield f"{name}: {size(held.bytes)}, {replies:,} replies{claims}"
    if not held.models:
        return
    rows = [
        [
            one.provider or "unknown",
            one.model,
            f"{one.replies:,}",
            size(one.bytes),
            _day(one.oldest),
            _day(one.newest),
        ]
        for one in held.models
    ]
    headers = ["provider", "model", "replies", "size", "oldest", "newest"]
    yield from (f"  {line}" for line in grid(rows, headers, right=(2, 3)).split("\n"))


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


_UNITS = {"h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_BYTES_PER_MB = 1_000_000
_ALL = Look(repeats=sys.maxsize)


def show(ledger: Path) -> Iterator[str]:
    """Yield what the ledger holds."""
    yield from stock_lines(str(ledger), stock(ledger))


def seconds(written: str) -> float:
    """Return a length of time such as ``90d``, ``12h`` or ``2w``.

    Raises:
        ValueError: it is none.
    """
    found = re.fullmatch(r"(\d+)([hdw])", written)
    if not found:
        raise ValueError(f"{written} is no length of time; write 12h, 90d or 2w")
    return int(found[1]) * _UNITS[found[2]]


def prune_(ledger: Path, older_than: float | None, max_mb: float | None) -> str:
    """Forget old replies, and say what was done.

    Args:
        ledger: the file.
        older_than: seconds; what came before is forgotten.
        max_mb: what the file may take.

    Raises:
        Unavailable: neither is given, or there is no ledger.
    """
    if older_than is None and max_mb is None:
        raise Unavailable("say what to forget: --older-than 90d, --max-mb 200, or both")
    before = None if older_than is None else time.time() - older_than
    most = None if max_mb is None else int(max_mb * _BYTES_PER_MB)
    gone, left = prune(ledger, before=before, most=most)
    return f"{gone:,} replies forgotten; {ledger} takes {size(left)} now"


def check(ledger: Path) -> str:
    """Say that the ledger is whole.

    Raises:
        LedgerError: it is not; says what is wrong.
    """
    wrong = fault_lines(ledger)
    if not wrong:
        replies = sum(one.replies for one in stock(ledger).models)
        return f"{ledger} is whole: all of its {replies:,} replies can be read"
    told = "\n".join(f"  {line}" for line in wrong)
    raise LedgerError(
        f"{ledger} is damaged:\n{told}\nthe next run that meets the damage saves what can be read "
        "into a fresh file and keeps this one beside it"
    )


def export(suite: Path, ledger: Path, out: Path | None) -> Iterator[str]:
    """Write every kept reply that the gates of *suite* rest on into a file to commit.

    Args:
        suite: the suite file.
        ledger: where replies are kept.
        out: the file to write; by default the one that is read beside the suite.

    Raises:
        SuiteFaults: the suite cannot be used.
        Unavailable: a variant cannot be planned, or nothing of it is kept.
    """
    loaded, session = opened(suite, ledger)
    needed, more = _needed(session, loaded)
    out = out or suite.with_name(loaded.replies_path.name)
    if out.resolve() in loaded.files_of_replies:
        raise Unavailable(f"{out} is a variant's own file; name another with -o, or rename that")
    own = session.ledger()
    entries = own.entries(needed | more)
    own.close()
    missing = len(needed - {entry.fingerprint for entry in entries})
    if not entries:
        raise Unavailable(f"{ledger} has no reply of {suite}; run pytest --ftgate {suite} first")
    write_replies(out, loaded.name, entries)
    yield f"{len(entries):,} replies written to {out}; {size(out.stat().st_size)}"
    if missing:
        yield f"{missing:,} are missing: run pytest --ftgate {suite}, then export again"


def export_base(suite: Path, ledger: Path, name: str, out: Path | None) -> Iterator[str]:
    """Write what the base of a variant said to the skills cases, for when it can be asked no more.

    Args:
        suite: the suite file.
        ledger: where replies are kept.
        name: of the variant; ``base_replies`` of it may name the file then.
        out: the file to write; by default ``NAME.base.jsonl`` beside the suite.

    Raises:
        SuiteFaults: the suite cannot be used.
        Unavailable: the variant has no base that was asked anything.
    """
    loaded, session = opened(suite, ledger)
    variant, gate = loaded.variants.get(name), loaded.gates.get("forgetting")
    if variant is None:
        raise Unavailable(f'{suite} has no variant "{name}"{did_you_mean(name, loaded.variants)}')
    if not variant.tuned or not isinstance(gate, ForgettingGate):
        raise Unavailable(f"no forgetting gate of {suite} asks a base of {name}")
    asks = session.asks.skills(loaded, base_of(variant), gate)
    own = session.ledger()
    found = own.replies(ask.call.fingerprint for ask in asks)
    own.close()
    said = [(ask.case.id, found.get(ask.call.fingerprint)) for ask in asks]
    lines = [_recorded(case, reply) for case, reply in said if reply is not None]
    if not lines:
        raise Unavailable(f"{ledger} has no reply of the base; run pytest --ftgate {suite} first")
    out = out or suite.with_name(loaded.replies_path.name.replace(".replies.", ".base."))
    out.write_text("".join(lines), "utf-8")
    yield f"{len(lines):,} of {len(asks):,} replies of the base of {name} written to {out}"


def _recorded(case: str, reply: Reply) -> str:
    row = {"id": case, "text": reply.text, "stop": reply.stop, "model": reply.model}
    return f"{json.dumps(row, ensure_ascii=False)}\n"


def _needed(session: Session, suite: Suite) -> tuple[set[str], set[str]]:
    """Return the calls that a run makes in any case, and those that it may make beside them."""
    variants = suite.variants.values()
    gates = [Judged(suite, gate, one) for one in variants for gate in suite.gates_of(one)]
    groups = [group for judged in gates for group in session.asks.of(judged)]
    groups += [session.asks.task(suite, v, whole(suite)) for v in variants if not v.gated]
    more = [group for judged in gates for group in session.asks.of(judged, _ALL)]
    more += [
        asked_anew(session, judged, look)[1]
        for judged in gates
        if isinstance(judged.gate, RateGate) and judged.gate.max_drop is not None
        for look in session.asks.looks(judged)
    ]
    more += [group for judged in gates for group in session.asks.must_keep(judged)]
    graded = grading_of_kept(session, suite, variants)
    # Recorded replies have a file of their own.
    needed, rest = (
        {a.call.fingerprint for group in g for a in group if not a.call.replies}
        for g in (groups, more)
    )
    return needed | graded, rest


def import_(file: Path, ledger: Path) -> str:
    """Put the replies of *file* into the ledger, where it lacks them.

    Raises:
        SuiteFaults: the file cannot be read.
        Unavailable: there is none.
    """
    if not file.is_file():
        raise Unavailable(f"there is no file {file}")
    entries = [*read_replies(file, str(file)).values()]
    own = Ledger(ledger, run=uuid4().hex, clock=time.time)
    new = own.add(entries)
    own.close()
    return f"{new:,} of {len(entries):,} replies are new in {ledger}"
