"""What keeps gates from being evaluated here, as far as it is known before a request is sent."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from importlib.util import find_spec

from pytest_ftgate.client.budget import JUDGE_LABEL
from pytest_ftgate.client.results import Result, require_recorded, require_replies
from pytest_ftgate.errors import ConfigurationError, FtgateError, NotRecorded
from pytest_ftgate.providers.base import open_provider
from pytest_ftgate.providers.recorded import RecordedReplies
from pytest_ftgate.requests.api_keys import key_use
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request, distinct_requests
from pytest_ftgate.runner.plan import judge_requests
from pytest_ftgate.runner.planner import GateRun, full_look
from pytest_ftgate.runner.session import Session
from pytest_ftgate.suite.model import Suite
from pytest_ftgate.suite.providers import missing_package, provider_spec, weights_engine
from pytest_ftgate.suite.rule import JAVASCRIPT

#: Stands for a reply that is there, or that may come.
_REPLY = Reply(text="")


def blocked_gates(session: Session, gates: Mapping[str, GateRun]) -> Mapping[str, Sequence[str]]:
    """Return by reason the names of the *gates* that a run could not evaluate.

    *gates* are by name. Whether a server answers is not known before a request.
    """
    preflight, blocked = _Preflight(session), defaultdict[str, list[str]](list)
    for name, gate_run in gates.items():
        try:
            preflight.check(gate_run)
        except FtgateError as error:
            blocked[str(error)].append(name)
    return blocked


class _Preflight:
    """Looks up the results that a run would find, or the errors; each request once."""

    def __init__(self, session: Session) -> None:
        self._session, self._recorded = session, RecordedReplies()
        self._results: dict[str, Result] = {}
        #: The suites whose code parses.
        self._parsed = set[str]()
        #: Why requests cannot be sent, by what they have in common; "" if they can.
        self._sending: dict[tuple[str | None, ...], str] = {}

    def check(self, gate_run: GateRun) -> None:
        """Raise the error with which a run would end *gate_run* before its verdict."""
        session, suite = self._session, gate_run.suite
        session.records.of(gate_run.gate_suite)
        if suite.key not in self._parsed:
            _require_code(suite)
            self._parsed.add(suite.key)
        groups = session.groups(gate_run)
        if gate_run.sends_requests and not groups:  # a conversation begins with the case
            look = full_look(suite)
            groups = [session.built.task(suite, gate_run.variant, look)]
        self.check_replies([[*distinct_requests(group)] for group in groups], suite.name)
        if gate_run.is_graded:
            try:
                case_requests = session.built.task(suite, gate_run.variant, gate_run.looks[0])
                sides = {gate_run.variant.name: case_requests}
                graded = judge_requests(session, suite, sides, only_cached=False)
                self.check_replies([graded], suite.name)
            except FtgateError as error:
                raise ConfigurationError(f"{JUDGE_LABEL}: {error}") from error

    def check_replies(self, groups: Sequence[Sequence[Request]], suite: str) -> None:
        """Raise an error if too few replies of a group can come."""
        session = self._session
        self._look_up(request for group in groups for request in group)
        results = {one.fingerprint: self._results[one.fingerprint] for g in groups for one in g}
        require_recorded([*results.values()], session.settings.typed(suite))
        for group in groups:
            require_replies([results[request.fingerprint] for request in group])

    def _look_up(self, requests: Iterable[Request]) -> None:
        new = {one.fingerprint: one for one in requests if one.fingerprint not in self._results}
        if not new:
            return
        is_fresh = self._session.settings.replies == "fresh"
        cached = self._session.replies.cached_replies(new, this_run=is_fresh)
        with self._recorded:
            self._results |= {key: self._result(request, cached) for key, request in new.items()}

    def _result(self, request: Request, cached: Container[str]) -> Result:
        if provider_spec(request.provider).recorded:
            result = self._recorded.reply_or_error(request)
            return _REPLY if isinstance(result, Reply) else result
        if request.fingerprint in cached:
            return _REPLY
        if self._session.settings.replies == "recorded":
            return NotRecorded("")
        weights = f"{request.model} {request.options}"
        common = (request.provider, request.base_url, request.api_key_env, weights)
        if common not in self._sending:
            self._sending[common] = sending_error(self._session, request)
        message = self._sending[common]
        return ConfigurationError(message) if message else _REPLY


def _require_code(suite: Suite) -> None:
    """Raise an error if JavaScript in *suite* does not parse. Runs none, and so reads no file."""
    rules = (rule for case in suite.cases for rule in (case.score, *case.format))
    parts = (part.checked for rule in rules for part in rule.parts)
    code = {part.key: part for part in parts if part.kind == JAVASCRIPT and part.path is None}
    if code:
        from pytest_ftgate.scoring.javascript import require_javascript

        for rule in code.values():
            require_javascript(rule, suite.path.parent)


def sending_error(session: Session, request: Request) -> str:
    """Return why *request* cannot be sent from here: a key or a package is missing; or ""."""
    name, (extra, engine) = request.provider, weights_engine(request.provider)
    if message := session.replies.key_error(key_use(request, os.environ)):
        return message
    if engine and find_spec(engine) is None:
        install = f'pip install "pytest-ftgate[{extra}]"'
        return f"provider {name} needs {engine}: {install}"
    if message := missing_package(name, request.options, request.runtime.get("places", {})):
        return message
    # Loading weights takes long, and a plugin's provider may do anything.
    if not provider_spec(name).hosted:
        return ""
    try:
        asyncio.run(open_provider([request], os.environ, {}).close())
    except FtgateError as error:
        return str(error)
    return ""
