"""``pytest-ftgate cache``: show, prune, export and import cached replies."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.cache.export import read_replies, write_replies
from pytest_ftgate.cache.maintenance import cache_errors, cache_stats, prune
from pytest_ftgate.cli import existing_file
from pytest_ftgate.errors import CacheError, ConfigurationError, did_you_mean
from pytest_ftgate.gates.needs import ScoreRequest
from pytest_ftgate.reporting.number_text import file_size
from pytest_ftgate.reporting.tables import TextTable, table_lines
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.requests.request_groups import base_name
from pytest_ftgate.runner.identity import drift_requests
from pytest_ftgate.runner.plan import judge_requests
from pytest_ftgate.runner.planner import full_look, gate_runs_of, runs_in_blocks
from pytest_ftgate.runner.session import Session
from pytest_ftgate.settings import short_path
from pytest_ftgate.suite.gate_kinds import is_rate, skills_gate
from pytest_ftgate.suite.model import Suite

_MB = 1_000_000
_SECONDS = {"h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}


def cache_lines(cache: Path) -> Iterator[str]:
    """Yield the size of the cache, and a table of its replies by provider and model."""
    stats = cache_stats(cache)
    replies = sum(model.replies for model in stats.models)
    claims = f", {stats.claims:,} in flight or left by a killed run" if stats.claims else ""
    yield f"{cache}: {file_size(stats.bytes)}, {replies:,} replies{claims}"
    if not stats.models:
        return
    rows = [
        [
            model.model or "no model",
            model.provider or "unknown",
            f"{model.replies:,}",
            file_size(model.bytes),
            _day(model.oldest),
            _day(model.newest),
        ]
        for model in stats.models
    ]
    headers = ["model", "provider", "replies", "size", "oldest", "newest"]
    yield from table_lines(TextTable(headers, rows, (2, 3)))


def _day(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).date().isoformat()


def _seconds(duration: str) -> float:
    """Return the seconds of a duration such as ``90d``, ``12h`` or ``2w``."""
    match = re.fullmatch(r"(\d+)([hdw])", duration)
    if not match:
        message = f"--older-than: {duration} is no length of time; write 12h, 90d or 2w"
        raise ConfigurationError(message)
    return int(match[1]) * _SECONDS[match[2]]


def prune_cache(cache: Path, older_than: str | None, max_mb: float | None) -> str:
    """Delete old replies, and return a summary.

    *older_than* is a minimum age such as ``90d``. If the file is larger than *max_mb*, the oldest
    replies are deleted first.

    Raises:
        ConfigurationError: neither limit is given, one is not valid, or there is no cache.
    """
    if not older_than and max_mb is None:
        raise ConfigurationError("say what to forget: --older-than 90d, --max-mb 200, or both")
    before = time.time() - _seconds(older_than) if older_than else None
    max_bytes = None if max_mb is None else int(max_mb * _MB)
    deleted, size = prune(cache, before=before, max_bytes=max_bytes)
    return f"{deleted:,} replies forgotten; {cache} takes {file_size(size)} now"


def check_cache(cache: Path) -> str:
    """Return a message that the cache is intact.

    Raises:
        CacheError: it is damaged; the message lists the errors.
    """
    errors = cache_errors(cache)
    if not errors:
        replies = sum(model.replies for model in cache_stats(cache).models)
        return f"{cache} is whole: all of its {replies:,} replies can be read"
    lines = "\n".join(f"  {error}" for error in errors)
    raise CacheError(
        f"{cache} is damaged:\n{lines}\nthe next run that meets the damage saves what can be read "
        "into a fresh file and keeps this one beside it"
    )


def export_replies(
    suite: Suite, session: Session, out: Path | None, base: str | None
) -> Iterator[str]:
    """Write the cached replies that the gates of *suite* need into a file to commit.

    *out* is by default the file that runs read beside the suite. *base* is a tuned variant, to
    write the replies of its base to the skill cases instead.

    Raises:
        ConfigurationError: a variant cannot be planned, or the cache has no reply of the suite.
    """
    if base:
        yield from _export_base_replies(suite, session, base, out)
        return
    typed = session.settings.typed(suite.name)
    required, optional = _fingerprints(session, suite)
    out = out or short_path(suite.replies_path, session.settings.start)
    if out.resolve() in suite.recorded_reply_files:
        raise ConfigurationError(
            f"{out} is a variant's own file; name another with -o, or rename that"
        )
    opened = session.replies.open_cache()
    entries = opened.entries(required | optional)
    opened.close()
    missing = len(required - {entry.fingerprint for entry in entries})
    if not entries:
        raise ConfigurationError(
            f"{session.settings.cache} has no reply of {typed}; run pytest --ftgate {typed} first"
        )
    write_replies(out, suite.name, entries)
    yield f"{len(entries):,} replies written to {out}; {file_size(out.stat().st_size)}"
    if missing:
        yield f"{missing:,} are missing: run pytest --ftgate {typed}, then export again"


def _export_base_replies(
    suite: Suite, session: Session, name: str, out: Path | None
) -> Iterator[str]:
    """Write the replies of the base of the variant *name*, for its ``base_replies``."""
    typed = session.settings.typed(suite.name)
    variant, gate = suite.variants.get(name), skills_gate(suite)
    if variant is None:
        raise ConfigurationError(
            f'{typed} has no variant "{name}"{did_you_mean(name, suite.variants)}'
        )
    if not variant.tuned or gate is None:
        raise ConfigurationError(f"no forgetting gate of {typed} compares {name} with a base")
    plan = session.probe.plan(suite, variant)
    request = ScoreRequest(variant=base_name(variant), of_gate=gate.kind)
    case_requests: tuple[CaseRequest, ...] = plan.requests(request)
    if gate.leveled:
        # A later run chooses the same levels by the recorded replies to the pilot.
        case_requests = (*case_requests, *plan.pilot)
    cached = session.replies.cached_replies(one.request.fingerprint for one in case_requests)
    replies = (
        (case_request.case.id, cached.get(case_request.request.fingerprint))
        for case_request in case_requests
    )
    lines = [_recorded_line(case, reply) for case, reply in replies if reply is not None]
    if not lines:
        raise ConfigurationError(
            f"{session.settings.cache} has no reply of the base; run pytest --ftgate {typed} first"
        )
    default = suite.replies_path.name.replace(".replies.", ".base.")
    out = out or short_path(suite.path.with_name(default), session.settings.start)
    out.write_text("".join(lines), "utf-8")
    yield f"{len(lines):,} of {len(case_requests):,} replies of the base of {name} written to {out}"


def _recorded_line(case: str, reply: Reply) -> str:
    row = {"id": case, "text": reply.text, "stop": reply.stop, "model": reply.model}
    row |= {"thought": reply.thought} if reply.thought else {}
    return f"{json.dumps(row, ensure_ascii=False)}\n"


def _fingerprints(session: Session, suite: Suite) -> tuple[set[str], set[str]]:
    """Return the fingerprints of the requests that a run always sends, and of those it may send."""
    variants, gate_runs = suite.variants.values(), gate_runs_of(suite)
    required = [group for gate_run in gate_runs for group in session.groups(gate_run)]
    ungated, in_blocks = [one for one in variants if not one.gated], runs_in_blocks(suite)
    first = in_blocks[0].looks[0] if in_blocks else full_look(suite)
    required += [session.built.task(suite, one, first) for one in ungated]
    optional: list[tuple[CaseRequest, ...]] = []
    optional += [session.built.task(suite, one, full_look(suite)) for one in ungated]
    for variant in variants:
        if variant.tuned:
            optional += session.probe.plan(suite, variant).probe_stages[-1]
    for gate_run in gate_runs:
        optional += session.most(gate_run)
        if is_rate(gate_run.gate) and gate_run.gate.compares(gate_run.variant):
            optional += [drift_requests(session, gate_run, at)[1] for at in gate_run.looks]
    sides = {one.name: session.built.task(suite, one, full_look(suite)) for one in variants}
    graded = judge_requests(session, suite, sides, only_cached=True)
    required_fingerprints = {request.fingerprint for request in graded}
    return _live_fingerprints(required) | required_fingerprints, _live_fingerprints(optional)


def _live_fingerprints(groups: Iterable[Sequence[CaseRequest]]) -> set[str]:
    """Return the fingerprints of the requests, without recorded ones: these have their own file."""
    requests = (case_request.request for group in groups for case_request in group)
    return {request.fingerprint for request in requests if not request.replies}


def import_replies(file: Path, cache: Path) -> str:
    """Add the replies of *file* that the cache lacks, and return a summary.

    Raises:
        SuiteError: the file is invalid.
        ConfigurationError: the file does not exist.
    """
    entries = [*read_replies(existing_file(file), str(file)).values()]
    opened = Cache(cache, run=uuid4().hex, clock=time.time)
    added = opened.add(entries)
    opened.close()
    return f"{added:,} of {len(entries):,} replies are new in {cache}"
