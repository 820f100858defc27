"""Where a key may go: to its provider, and to the hosts that ``ftgate_keys`` lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit, urlunsplit

from pytest_ftgate.requests.request import Request
from pytest_ftgate.settings import KeyRule
from pytest_ftgate.suite.providers import is_known_key, provider_spec


def is_loopback(host: str | None) -> bool:
    """Return True if *host* is this machine."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A key that requests carry, and the address that receives it.

    Attributes:
        name: the environment variable of the key.
        url: the base URL; that of the provider if nothing names another one.
        is_own_key: True if it is the variable that the provider reads by itself.
        is_own_address: True if no suite names the address: it is the provider's, or stands in the
            provider's variable of the environment.
    """

    name: str
    url: str
    is_own_key: bool
    is_own_address: bool

    @property
    def host(self) -> str:
        """The host, with the port if the address has one."""
        return urlsplit(self.url).netloc or "its provider"

    def error(self, rules: Iterable[KeyRule], environ: Mapping[str, str], *, safe: bool) -> str:
        """Return why the key cannot or must not go there, and what to write; "" if it may.

        *rules* are the pairs that the repository allows. *safe* trusts the suite's author with
        nothing: the provider's own address then gets the provider's own key alone.
        """
        if not environ.get(self.name, "").isprintable():
            return f"{self.name} has a line break or another control character; set it without"
        parts = urlsplit(self.url)
        is_open = parts.scheme == "http" and not is_loopback(parts.hostname)
        if is_open and (safe or not self.is_own_address):
            return f"{self.name} would go to {self.host} over plain http; write https"
        if self.is_own_address and (self.is_own_key or not safe):
            return ""
        if is_known_key(self.name, parts.hostname or ""):
            return ""
        if any(rule.name == self.name and _covers(rule, parts, environ) for rule in rules):
            return ""
        return (
            f"{self.name} would go to {self.host}, which the configuration does not list; if that "
            f"server is to have it, add to pytest.ini: ftgate_keys = {self.name}@{self.host}"
        )


def _covers(rule: KeyRule, parts: SplitResult, environ: Mapping[str, str]) -> bool:
    if rule.variable:
        return _origin(environ.get(rule.variable, "")) == _origin(urlunsplit(parts))
    return rule.host == parts.hostname and rule.port in (None, _port(parts))


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, _port(parts)


def _port(parts: SplitResult) -> int:
    return parts.port or (80 if parts.scheme == "http" else 443)


def key_use(request: Request, environ: Mapping[str, str]) -> KeyUse | None:
    """Return which key *request* carries to which address; None if it carries none."""
    spec = provider_spec(request.provider)
    own_url = environ.get(spec.base_url_variable) or spec.url
    is_own_address = request.base_url in (None, own_url) or (
        bool(spec.url) and _origin(request.base_url or "") == _origin(spec.url)
    )
    name = request.api_key_env
    if spec.hosted and "api_key_env" not in spec.reads:
        name = spec.key_variable  # its SDK signs every request
    elif name is None and (is_own_address or not spec.any_server):
        name = spec.key_variable
    if not name or not (spec.hosted or request.base_url):
        return None
    url = request.base_url or own_url
    return KeyUse(name, url, name == spec.key_variable, is_own_address)
