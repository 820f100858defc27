"""``pytest-ftgate doctor``: what keeps suites from running here, and what to do about it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from pytest_ftgate.adapters.chat_template import TEMPLATE_OPTIONS, file_difference, trained_template
from pytest_ftgate.adapters.tokens import check_tokens, token_names
from pytest_ftgate.cache.maintenance import cache_errors, cache_stats
from pytest_ftgate.cli import VerbOutput
from pytest_ftgate.client.redaction import redact_message, redact_reply
from pytest_ftgate.errors import FtgateError, SuiteError
from pytest_ftgate.gates.identity import begins_constraint, meets_constraint
from pytest_ftgate.gates.kinds import pools_inputs
from pytest_ftgate.gates.power import shown_limit
from pytest_ftgate.machine import usable_cores
from pytest_ftgate.paths import exists
from pytest_ftgate.plugin.suites import settings_of_run, with_suite
from pytest_ftgate.providers.base import Provider, known_retirement, open_provider
from pytest_ftgate.recommend.ladder import RETIREMENT_DAYS
from pytest_ftgate.reporting.number_text import quantity, unsigned_points
from pytest_ftgate.reporting.text import escape_controls, shorten
from pytest_ftgate.requests import request as requests
from pytest_ftgate.requests.api_keys import is_loopback
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.runner.plan import lint_lines
from pytest_ftgate.runner.planner import GateRun, full_look, gate_runs_of
from pytest_ftgate.runner.preflight import blocked_gates, sending_error
from pytest_ftgate.runner.provenance import require_untracked
from pytest_ftgate.runner.session import Session
from pytest_ftgate.settings import docs_page
from pytest_ftgate.suite.external_cases import file_of_runs
from pytest_ftgate.suite.model import Suite, Variant
from pytest_ftgate.suite.prices import has_price, is_deprecated
from pytest_ftgate.suite.providers import ProviderSpec, provider_spec
from pytest_ftgate.weights import slow_type

#: Folders that hold no suites of the user's own.
_SKIPPED = ("node_modules", "site-packages", "build", "dist")
#: The longest wait for a server, in seconds.
_TIMEOUT = 3.0
#: The longest wait for a reply, in seconds, and how much of it is shown.
_REPLY_TIMEOUT, _SHOWN = 60.0, 60
#: A prompt that no schema of a suite fits.
_UNRELATED = (("user", "Describe the sea in one sentence."),)
#: The largest list of models that is read, in bytes.
_MAX_BODY = 1_000_000
#: How the names of variables with credentials end.
_KEYS = ("_KEY", "_TOKEN")
_INDENT, _LEAST_WIDTH = " " * 6, 60


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was checked.

    Attributes:
        remedy: what to do about it; "" if nothing is wrong.
    """

    level: Level
    text: str
    remedy: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines that show it."""
        paragraphs = [*self.text.split("\n"), *filter(None, [self.remedy])]
        width = max(_LEAST_WIDTH, get_terminal_size().columns) - len(_INDENT)
        lines = [
            line
            for text in paragraphs
            # A path or a command stays whole, so that it can be copied.
            for line in wrap(text, width, break_long_words=False, break_on_hyphens=False)
        ]
        first, *rest = lines
        return [f"{self.level:<5} {first}", *(f"{_INDENT}{line}" for line in rest)]


def examine(suite: Path | None, cache: Path | None, *, as_json: bool) -> VerbOutput:
    """Return what was checked, one line or more each; the exit code is 1 if anything fails.

    *suite* is a suite file or a folder; by default, all suites below this folder are checked.
    """
    found = [_environment(), *_suites(suite or Path(), cache), *_cache(cache)]
    fails = any(one.level is Level.FAIL for one in found)
    if as_json:
        return VerbOutput((json.dumps([asdict(one) for one in found], indent=2),), int(fails))
    return VerbOutput(tuple(line for one in found for line in one.lines), int(fails))


def _environment() -> Diagnosis:
    python = ".".join(map(str, sys.version_info[:3]))
    names = ", ".join(f"{name} {version(name)}" for name in ("pytest", "pytest-ftgate"))
    usable, present = usable_cores(), os.cpu_count() or 1
    cores = quantity(usable, "core") if usable == present else f"{usable} of {present} cores"
    return Diagnosis(Level.OK, f"python {python}, {names}, {cores} usable")


def _suites(path: Path, cache: Path | None) -> Iterator[Diagnosis]:
    if not exists(path):
        yield Diagnosis(Level.FAIL, f"there is no {path}", "name a suite file or a folder")
        return
    suites = [path] if path.is_file() else [*project_files(path, "*.ftgate.yaml")]
    misnamed = [*project_files(path, "*.ftgate.yml")] if path.is_dir() else []
    for found in misnamed:
        remedy = f"rename it to {found.with_suffix('.yaml').name}"
        yield Diagnosis(Level.FAIL, f"{found} is not read: its name ends in .yml", remedy)
    for found in suites:
        yield from _suite(found, cache)
    if not suites and not misnamed:
        remedy = "write one with: pytest-ftgate init"
        yield Diagnosis(Level.WARN, f"no *.ftgate.yaml below {path.resolve()}", remedy)


def project_files(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the files below *folder* that match *pattern*, without those of other projects."""
    for path in sorted(folder.rglob(pattern)):
        parts = path.relative_to(folder).parts[:-1]
        if not any(part.startswith(".") or part in _SKIPPED for part in parts):
            yield path


def _suite(path: Path, cache: Path | None) -> Iterator[Diagnosis]:
    try:
        yield from with_suite(path, cache, _opened_suite)
    except SuiteError as error:
        yield Diagnosis(Level.FAIL, str(error))
    except FtgateError as error:
        yield Diagnosis(Level.FAIL, f"{path}: {error}")


def _opened_suite(suite: Suite, session: Session) -> list[Diagnosis]:
    gates = gate_runs_of(suite)
    blocked = blocked_gates(session, {f"{g.name}[{g.variant.name}]": g for g in gates})
    found = [_shown(suite, gates), *_by_variant(suite, session, blocked)]
    told = "".join(one.text for one in found if one.level is Level.FAIL)
    for reason, names in blocked.items():
        if reason not in told:
            found.append(Diagnosis(Level.FAIL, f"{suite.name}, {', '.join(names)}: {reason}"))
    for line in lint_lines(session, gates):
        text = f"{suite.name}, {line.strip().removeprefix('lint: ')}"
        found.append(Diagnosis(Level.WARN, text))
    found += (Diagnosis(Level.WARN, text) for text in dict.fromkeys(session.replies.user_messages))
    session.close()
    return found


def _shown(suite: Suite, gates: Sequence[GateRun]) -> Diagnosis:
    """Return what the gates of a suite can show with its cases."""
    shown = {
        run.gate.name: shown_limit(run.gate_suite, run.gate)
        for run in gates
        if run.gate.max_drop is not None
        and run.gate.evidence != "point"
        # Of inputs labels decide what can be shown.
        and not pools_inputs(run.suite, run.gate, run.variant)
    }
    drops = ", ".join(f"{gate} {unsigned_points(drop)}" for gate, drop in shown.items() if drop)
    counts = f"{quantity(len(suite.cases), 'case')}, {quantity(len(gates), 'gate')}"
    text = f"{suite.name}: {counts}"
    return Diagnosis(Level.OK, f"{text}; can show drops of: {drops}" if drops else text)


def _by_variant(suite: Suite, session: Session, blocked: Container[str]) -> Iterator[Diagnosis]:
    """Yield the diagnoses of the variants; variants with the same diagnosis share it."""
    names: dict[Diagnosis, list[str]] = {}
    for variant in suite.variants.values():
        for one in _variant(suite, session, variant, blocked):
            names.setdefault(one, []).append(escape_controls(variant.name))
    for one, variants in names.items():
        yield replace(one, text=f"{suite.name}, {', '.join(variants)}: {one.text}")


def _variant(
    suite: Suite, session: Session, variant: Variant, blocked: Container[str]
) -> Iterator[Diagnosis]:
    """Yield what keeps *variant* from answering, or how it answers.

    What *blocked* does not have keeps no gate from being evaluated: its replies are cached.
    """
    spec = provider_spec(variant.provider)
    try:
        case_requests = session.built.task(suite, variant, full_look(suite))
        request = case_requests[0].request
    except (FtgateError, IndexError) as error:
        yield Diagnosis(Level.FAIL, str(error))
        return
    if spec.weights and request.adapter and request.adapter.path.is_dir():
        yield from _tokens(request, request.adapter.path, spec)
    if message := sending_error(session, request):
        yield Diagnosis(Level.FAIL if message in blocked else Level.WARN, message)
        return
    if spec.hosted:
        if request.base_url is None:
            yield from _key(variant, spec)
        else:
            yield from _server(request, variant, spec)
    elif spec.weights == "gguf":
        yield from _weights(request, variant)
    elif spec.recorded:
        yield from _recorded(variant)
    yield from _retirement(variant)
    if spec.hosted and request.base_url is None and not has_price(variant.tariff):
        remedy = "state usd_per_1m_input and usd_per_1m_output on the variant"
        yield Diagnosis(Level.WARN, f"the prices of {variant.model} are unknown", remedy)


def _recorded(variant: Variant) -> Iterator[Diagnosis]:
    """Yield what another tool recorded: its format, its runs, and which of them are missing."""
    file = file_of_runs(variant)
    if file is None or file.unit == "case":
        return
    tasks = quantity(len({row.id for row in file.rows}), file.unit)
    traced = sum(row.run is not None and row.run.uses is not None for row in file.rows)
    runs = f"{quantity(len(file.rows), 'run')} of {tasks}, {traced:,} with a trace"
    yield Diagnosis(Level.OK, f"read as {file.tool}: {runs}")
    yield from (Diagnosis(Level.WARN, escape_controls(text)) for text in file.notes)


def _retirement(variant: Variant) -> Iterator[Diagnosis]:
    """Yield when the model of *variant* retires, as far as the SDK and the price list know it."""
    retires = known_retirement(variant.provider, variant.model)
    remedy = f"compare its successor in one run: {docs_page('how-to/new-base')}"
    with suppress(ValueError):
        days = (date.fromisoformat(retires) - datetime.now(UTC).date()).days
        if days <= RETIREMENT_DAYS:
            when = f"retires in {days} days" if days > 0 else "has retired"
            yield Diagnosis(Level.WARN, f"{variant.model} {when}, on {retires}", remedy)
        return
    if is_deprecated(variant.tariff):
        text = f"{variant.model} is deprecated, by the price list; its maker has the date"
        yield Diagnosis(Level.WARN, text, remedy)


def _weights(request: requests.Request, variant: Variant) -> Iterator[Diagnosis]:
    """Yield which weights are read, and where their chat template differs from the training's."""
    weights = Path(request.model)
    slow, text = slow_type(weights), f"{variant.model} is read from {weights.name}"
    if slow:
        yield Diagnosis(Level.WARN, f"{text}; its type {slow} is slow on this processor")
    else:
        yield Diagnosis(Level.OK, text)
    trained = trained_template(request.adapter.path) if request.adapter else None
    options = request.extra.get(TEMPLATE_OPTIONS, {})
    yield from _template(file_difference(weights, trained, options))


def _tokens(request: requests.Request, adapter: Path, spec: ProviderSpec) -> Iterator[Diagnosis]:
    """Yield which tokens the training of *adapter* has added to those of the model."""
    added = check_tokens(adapter, request.model)
    if not added.numbers:
        return
    count = quantity(len(added.numbers), "token")
    text = f"{adapter.name} adds {count} to those of the model: {token_names(added.numbers)}"
    if spec.weights == "gguf" and added.written:
        text += f"; its training wrote {token_names(added.written)}, which llama.cpp does not know"
        remedy = (
            "convert the model with the tokenizer of the adapter, or use provider: transformers"
        )
        yield Diagnosis(Level.WARN, text, remedy)
    else:
        yield Diagnosis(Level.OK, text)


def _key(variant: Variant, spec: ProviderSpec) -> Iterator[Diagnosis]:
    """Yield whether the environment has a key; an SDK may find one elsewhere too."""
    prefix = spec.sdk_variables[0]
    names = [name for name in os.environ if name.startswith(prefix) and name.endswith(_KEYS)]
    names = [variant.api_key_env] if variant.api_key_env else names
    if names:
        yield Diagnosis(Level.OK, f"{names[0]} is set for {variant.model}")
    else:
        text = f"no key for {variant.model} in the environment"
        yield Diagnosis(Level.WARN, text, f"set {prefix}API_KEY, or use recorded replies")


def _server(request: requests.Request, variant: Variant, spec: ProviderSpec) -> Iterator[Diagnosis]:
    """Yield what the server at the request's own address serves, and how it writes prompts."""
    address, wanted = request.shown_url, request.served_model or request.model
    try:
        served = served_models(request.base_url or "", os.environ.get(request.api_key_env or ""))
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        text = f"nothing usable at {address}: {escape_controls(str(reason))}"
        yield Diagnosis(Level.FAIL, text, "start the server, or correct base_url")
        return
    base = variant.base if request.adapter else None
    if wanted in served or not served:
        yield Diagnosis(Level.OK, f"{address} serves {wanted}")
    elif base in served:
        yield Diagnosis(Level.OK, f"{address} serves {base}, and the run loads the adapter")
        # The adapter is not there yet, so its base is asked, and for no reply.
        request = replace(request, model=base, constraint=None)
    else:
        yield _other_models(address, served, base, wanted)
        return
    if spec.any_server:
        yield from asyncio.run(_own_server(request))


def _other_models(address: str, served: list[str], base: str | None, wanted: str) -> Diagnosis:
    names = ", ".join(f'"{escape_controls(model)}"' for model in served[:5])
    first = escape_controls(served[0])
    remedy = f'write {"base" if base else "model"}: "{first}", or start the server with the other'
    if not base:
        remedy += f'; if both are names of one model, write served_model: "{first}"'
    return Diagnosis(Level.FAIL, f'{address} serves {names}, not "{base or wanted}"', remedy)


async def _own_server(request: requests.Request) -> list[Diagnosis]:
    """Return whether the server writes prompts as in the training, and holds the schema."""
    provider: Any = open_provider([request], os.environ, {})
    try:
        found = [*_template(_without_keys(await provider.template_difference(request), request))]
        if request.constraint is not None:
            found.append(await _schema(provider, request))
    except (FtgateError, TimeoutError) as error:
        told = redact_message(str(error), os.environ, request)
        return [Diagnosis(Level.WARN, f"{request.shown_url}: {told or 'no reply in time'}")]
    finally:
        await provider.close()
    return found


async def _schema(provider: Provider, request: requests.Request) -> Diagnosis:
    """Return whether the server holds replies to the schema of *request*.

    The prompt says nothing of the schema, so that a model meets it only if the server makes it.
    """
    address = request.shown_url
    if not is_loopback(urlsplit(address).hostname):
        return Diagnosis(
            Level.OK,
            f"whether {address} holds response_schema was not tried, since a reply may cost money",
            "try one case: pytest --ftgate --ftgate-case=ID",
        )
    probe = replace(request, messages=_UNRELATED, tools=())
    reply = await asyncio.wait_for(provider.generate(probe), _REPLY_TIMEOUT)
    if reply.stop == "length" and begins_constraint(probe, reply.text):
        text = f"{address} did not finish a reply in {request.max_tokens} tokens"
        return Diagnosis(Level.WARN, f"{text}: whether it holds response_schema is open")
    if reply.stop != "length" and meets_constraint(probe, reply.text):
        return Diagnosis(Level.OK, f"{address} holds response_schema")
    text = _without_keys(reply.text, request)
    shown = json.dumps(shorten(text, _SHOWN), ensure_ascii=False)
    return Diagnosis(
        Level.FAIL,
        f"{address} does not hold response_schema: it answered {escape_controls(shown)}",
        "start the server with guided decoding, or leave out response_schema",
    )


def _without_keys(text: str, request: requests.Request) -> str:
    """Return *text* of a server without the keys that it was sent."""
    return redact_reply(Reply(text=text), request, os.environ).text


def _template(difference: str) -> Iterator[Diagnosis]:
    if difference:
        yield Diagnosis(Level.WARN, f"another chat template: {escape_controls(difference)}")


class _NoRedirects(HTTPRedirectHandler):
    """Refuses redirects: a key goes to no other address."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def served_models(address: str, key: str | None) -> list[str]:
    """Return the names of the models that the server at *address* lists.

    Raises:
        OSError: the server does not answer.
        ValueError: the answer is no list of models.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    # The scheme was checked when the suite's address was resolved.
    asked = Request(f"{address.rstrip('/')}/models", headers=headers)  # noqa: S310
    with build_opener(_NoRedirects).open(asked, timeout=_TIMEOUT) as response:
        body = json.loads(response.read(_MAX_BODY))
    data = body.get("data") if isinstance(body, Mapping) else None
    if not isinstance(data, list):
        message = "the answer to /models is no list; most addresses end in /v1"
        raise ValueError(message)  # noqa: TRY004 - the content of a response
    return [str(model["id"]) for model in data if isinstance(model, Mapping) and "id" in model]


def _cache(path: Path | None) -> Iterator[Diagnosis]:
    settings = settings_of_run(None, path)
    cache = settings.cache
    if not cache.exists():
        return
    try:
        require_untracked(cache, settings.start)
        errors = cache_errors(cache)
        replies = sum(model.replies for model in cache_stats(cache).models)
    except FtgateError as error:
        yield Diagnosis(Level.FAIL, str(error))
        return
    if errors:
        remedy = "the next run repairs it and keeps a copy"
        yield Diagnosis(Level.FAIL, "\n".join([f"{cache} is damaged:", *errors]), remedy)
    elif replies:
        yield Diagnosis(Level.OK, f"cache {cache}: {replies:,} replies, undamaged")
