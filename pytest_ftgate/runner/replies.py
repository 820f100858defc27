"""The replies of one run: the engine that brings them, the cache, and the budget."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from threading import Thread

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.cache.sqlite import CacheEntry
from pytest_ftgate.client.budget import Budget, Progress
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.redaction import redact_text
from pytest_ftgate.client.results import Result, require_recorded, require_replies
from pytest_ftgate.errors import EngineError, FtgateError
from pytest_ftgate.providers.base import ProviderFactory
from pytest_ftgate.requests.api_keys import KeyUse, key_use
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest, Request
from pytest_ftgate.requests.request_groups import Workload
from pytest_ftgate.runner.provenance import require_untracked
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite.model import Suite

#: Called with the progress of the requests while a run waits for replies.
OnProgress = Callable[[Progress], None]


class Replies:
    """Sends the requests of one run, each once, and keeps what came.

    *run* is a name that all processes of the run share. *plugin_providers* are the providers of
    other plugins, by name; a plugin may contribute some to each suite, so that the mapping of the
    caller grows during collection. *order_requests* orders the requests of a plan.
    """

    #: Returns why the function of a request must not be called now, or "".
    call_error: Callable[[Request], str] = staticmethod(lambda _request: "")
    #: The unexpected exception of this class's own contexts, or None.
    _failure: EngineError | None = None

    def __init__(
        self,
        settings: Settings,
        run: str,
        plugin_providers: Mapping[str, ProviderFactory],
        order_requests: Callable[[Iterable[Request]], Iterable[Request]],
    ) -> None:
        self.settings, self._run = settings, run
        self._plugin_providers, self._order_requests = plugin_providers, order_requests
        self._engine: Engine | None = None
        #: Imports libraries while the main thread waits for replies.
        self._importing: Thread | None = None
        limits = {"max_usd": settings.max_usd, "max_minutes": settings.max_minutes}
        self.budget = Budget(self.in_flight, time.monotonic, **limits)
        #: Called with the progress while the run waits for replies, or None.
        self._on_progress: OnProgress | None = None
        #: How many requests are planned, and wait until the identity of a variant is shown.
        self.held = 0
        #: Committed replies, by fingerprint; grows during collection.
        self.committed_replies: dict[str, CacheEntry] = {}
        #: Messages of the cache, and about suites, for the user: one sentence each.
        self.user_messages: list[str] = []
        #: Finished groups of requests, by key.
        self.awaited: dict[str, Workload] = {}
        #: The keys of the groups that have enough replies.
        self._checked: set[str] = set()

    # The engine ---------------------------------------------------------------------------

    @property
    def engine(self) -> Engine:
        """The engine, started on first use."""
        if self._engine is None:
            self._engine = self._engine_class()(
                self.open_cache(),
                os.environ,
                replies=self.settings.replies,
                concurrency=self.settings.concurrency,
                plugin_providers=self._plugin_providers,
                budget=self.budget,
            )
            self._engine.refusal = self._refusal
        return self._engine

    def _engine_class(self) -> type[Engine]:
        if self.settings.engine == "local":
            return Engine
        from pytest_ftgate.client.ray import RayEngine

        return RayEngine

    def _refusal(self, request: Request) -> str:
        """Return why *request* must not be sent, or ""."""
        if self.settings.replies == "recorded":
            # Nothing is sent; a reply that is not recorded is the engine's to report.
            return self._never_recorded(request)
        return self.key_error(key_use(request, os.environ)) or self.call_error(request)

    def _never_recorded(self, request: Request) -> str:
        if not request.only_for or request.cached_as:
            return ""
        test = self.settings.typed(request.only_for.partition("[")[0])
        return (
            f"the replies of {request.function} are never recorded here, since fixtures of the "
            "test may patch it; without --ftgate-replies=recorded, run\n"
            f"    pytest --ftgate {test}"
        )

    def key_error(self, use: KeyUse | None) -> str:
        """Return why a key must not go to its address, or ""."""
        rules, safe = self.settings.keys, self.settings.safe
        return use.error(rules, os.environ, safe=safe) if use else ""

    @property
    def failure(self) -> EngineError | None:
        """The unexpected exception that ended the run, or None."""
        return self._failure or (self._engine.failure if self._engine else None)

    @contextmanager
    def internal_errors(self) -> Iterator[None]:
        """End the run by an exception in this context that is no error of the package.

        Code of the user raises none of these here: its exceptions have become errors of the
        package, which name it.

        Raises:
            EngineError: there is such an exception.
        """
        try:
            yield
        except (FtgateError, EngineError):
            raise
        except Exception as error:
            self._failure = self.failure or EngineError(
                error, partial(redact_text, environ=os.environ)
            )
            raise self._failure from error

    def close(self) -> None:
        """Send no more requests; replies in flight are still stored in the cache.

        Raises:
            EngineError: an unexpected exception has ended the run.
        """
        if self._engine is not None:
            self._engine.close()
        self.finish_imports()
        if self.failure is not None:
            raise self.failure

    def cancel(self) -> None:
        """Let `close` cancel the requests in flight instead of waiting for their replies."""
        if self._engine is not None:
            self._engine.cancel()

    def start_imports(self) -> None:
        """Import libraries while the main thread waits for what is sent."""
        if self.engine.progress.to_send:
            self.finish_imports()
            self._importing = start_imports()

    def finish_imports(self) -> None:
        """Wait for the imports: two threads that import one library may each see half of it."""
        if self._importing is not None:
            self._importing.join()

    # The cache ----------------------------------------------------------------------------

    def open_cache(self) -> Cache:
        """Open the cache.

        Raises:
            CacheError: it cannot be opened, or git tracks it.
        """
        return Cache(
            self._untracked_cache,
            run=self._run,
            clock=time.time,
            recorded=self.settings.replies == "recorded",
            committed_replies=self.committed_replies,
            warn=self.user_messages.append,
        )

    @cached_property
    def _untracked_cache(self) -> Path:
        """The file of the cache; CacheError if git tracks it."""
        settings, warn = self.settings, self.user_messages.append
        safe_root = settings.root if settings.safe else None
        require_untracked(settings.cache, settings.start, safe_root=safe_root, warn=warn)
        return settings.cache

    def use_committed_replies(self, suite: Suite) -> None:
        """Use the replies committed beside *suite* where the cache lacks them.

        Raises:
            SuiteError: the file cannot be read.
        """
        path, folder = suite.replies_path, suite.name.rpartition("/")[0]
        # A variant with the provider `recorded` may use the same file name for its own replies.
        is_own = path in suite.recorded_reply_files
        if self.settings.replies != "fresh" and not is_own and path.is_file():
            name = f"{folder}/{path.name}" if folder else path.name
            from pytest_ftgate.cache.export import read_replies

            self.committed_replies |= read_replies(path, name)

    def cached_replies(self, keys: Iterable[str], *, this_run: bool = False) -> dict[str, Reply]:
        """Return the replies that the cache has, by fingerprint; see *Cache.replies*."""
        with closing(self.open_cache()) as cache:
            return cache.replies(keys, this_run=this_run)

    def known_replies(self, case_requests: Iterable[CaseRequest]) -> dict[str, Result]:
        """Return the results of *case_requests* that have arrived or are cached."""
        fingerprints = {case_request.fingerprint for case_request in case_requests}
        arrived = self._engine.results if self._engine else {}
        known = {key: arrived[key] for key in fingerprints & arrived.keys()}
        missing = fingerprints - known.keys()
        return {**known, **self.cached_replies(missing)} if missing else known

    # Requests -----------------------------------------------------------------------------

    @property
    def progress(self) -> Progress:
        """The progress of the requests, and their cost."""
        progress = self._engine.progress if self._engine else Progress()
        planned = progress.planned + self.held
        return replace(progress, planned=planned, usd=float(self.budget.spent))

    @property
    def arrived(self) -> Mapping[str, Result]:
        """All results so far, by fingerprint."""
        # A copy: the engine's thread may add results meanwhile.
        return {**self._engine.results} if self._engine else {}

    @property
    def pending_batches(self) -> tuple[str, ...]:
        """The batches that a provider still works on after the end of the run."""
        return self._engine.pending_batches if self._engine else ()

    @property
    def pending_calls(self) -> list[Request]:
        """The requests to functions of the project that have no result yet."""
        return self._engine.pending_calls if self._engine else []

    def in_flight(self) -> Iterable[Request]:
        """Return the requests in flight."""
        return self.engine.in_flight()

    def was_submitted(self, request: Request) -> bool:
        """Return True if *request* was submitted in this run."""
        return self._engine is not None and self._engine.was_submitted(request)

    def submit(self, requests: Iterable[Request], *, first: bool = False) -> None:
        """Submit *requests* in the order of the run, at the end of the queue or *first*."""
        self.engine.submit(self._order_requests(requests), first=first)

    def results(self, case_requests: Sequence[CaseRequest]) -> Mapping[str, Result]:
        """Wait for *case_requests* and return all results, however many failed."""
        workload = Workload.of(case_requests)
        if workload.key not in self.awaited:
            self.awaited[workload.key] = workload
            self.wait([case_request.request for case_request in workload])
            self.finish_imports()
        return self.engine.results

    def wait(self, requests: Sequence[Request]) -> None:
        """Wait for the results of *requests*."""
        show = self._on_progress
        self.engine.wait(requests, show and (lambda _: show(self.progress)))

    def checked_results(
        self, groups: Sequence[Sequence[CaseRequest]], suite: str
    ) -> Mapping[str, Result]:
        """Wait for *groups* and return all results so far, by fingerprint.

        *groups* has one group for each side of a comparison. Messages name *suite*.

        Raises:
            RepliesMissing: more than half of a group failed, or an error affects all of it; or the
                run must not send requests, and a reply is not cached. Requests that the budget
                stopped count as missing, but not as failed.
        """
        workloads = [Workload.of(group) for group in groups]
        for workload in workloads:
            self.results(workload)
        results = self.engine.results
        # Gates of a suite share most groups, and an error is raised for the first gate only.
        new = [group for group in workloads if group.key not in self._checked]
        fingerprints = {case_request.fingerprint for group in new for case_request in group}
        require_recorded(
            [results[fingerprint] for fingerprint in fingerprints], self.settings.typed(suite)
        )
        for group in new:
            require_replies([results[case_request.fingerprint] for case_request in group])
        self._checked.update(group.key for group in new)
        return results

    @contextmanager
    def show_progress(self, on_progress: OnProgress | None) -> Iterator[None]:
        """Call *on_progress* while the run waits in this context."""
        before, self._on_progress = self._on_progress, on_progress
        try:
            yield
        finally:
            self._on_progress = before


#: No module of this package: pytest rewrites plugin modules on import, and some versions of CPython
#: cannot compile rewritten code in two threads at once.
_LIBRARIES = ("numpy", "scipy.special")


def start_imports() -> Thread | None:
    """Import the libraries of evaluation in a thread, while the main thread waits.

    Ctrl-C reaches the main thread only, so that it cuts no import in two: NumPy cannot be imported
    again after that. Errors are ignored, since the import where a library is needed raises them.

    Returns:
        The thread, to be joined before any of the libraries is used; None if all are imported.
    """
    modules = [name for name in _LIBRARIES if name not in sys.modules]
    if not modules:
        return None
    thread = Thread(target=_import, args=(modules,), name="ftgate-imports", daemon=True)
    thread.start()
    return thread


def _import(modules: Sequence[str]) -> None:
    for module in modules:
        with suppress(Exception):
            import_module(module)
