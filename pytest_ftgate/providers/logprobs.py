"""Log-probabilities in the Chat Completions API, of a model's own reply and of a given one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_ftgate.errors import ProviderRejected, RequestRejected
from pytest_ftgate.requests.logprobs import TOP_TOKENS, Logprobs, TokenLogprobs, rounded
from pytest_ftgate.requests.request import Request


def logprob_options(request: Request) -> dict[str, Any]:
    """Return the options that ask for the log-probabilities that *request* wants; {} for none."""
    return {"logprobs": True, "top_logprobs": TOP_TOKENS} if request.labels else {}


def given_reply_payload(request: Request, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the payload that has a server read the given reply after *messages*, as vLLM does.

    The reply is the last message. One token is written after it, since none is not allowed.
    """
    given = request.given.text if request.given else ""
    return {
        **request.extra,
        "messages": [*messages, {"role": "assistant", "content": given}],
        "add_generation_prompt": False,
        "continue_final_message": True,
        "prompt_logprobs": TOP_TOKENS,
        "max_tokens": 1,
        "temperature": 0.0,
    }


def read_logprobs(request: Request, completion: Mapping[str, Any], place: str) -> Logprobs | None:
    """Return the log-probabilities that *request* wants.

    *place* is the address or the model, for messages.

    Raises:
        ProviderRejected: the server returns none.
        RequestRejected: those of a given reply cannot be separated from those of the prompt.
    """
    if request.given:
        return Logprobs(tokens=_given_tokens(request.given.text, completion, place))
    if not request.labels:
        return None
    content = (completion["choices"][0].get("logprobs") or {}).get("content")
    if not isinstance(content, list):
        raise ProviderRejected(
            f"{place} returns no log-probabilities (logprobs), which score: margin reads; write "
            "score: choice, or use a server that returns them, as vLLM and llama.cpp do"
        )
    try:
        return Logprobs(tokens=_deciding_tokens(content, request.labels))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RequestRejected(
            f"{place}: its log-probabilities cannot be read: {error!r}"
        ) from error


def _deciding_tokens(
    content: Sequence[Mapping[str, Any]], labels: Sequence[str]
) -> tuple[TokenLogprobs, ...]:
    """Return the tokens up to the first that begins no label: those after it rate none."""
    tokens: list[TokenLogprobs] = []
    written = ""
    for raw in content:
        tokens.append(_token(raw))
        written = (written + tokens[-1].text).lstrip()
        if not any(label.startswith(written) for label in labels):
            break
    return tuple(tokens)


def _token(raw: Mapping[str, Any]) -> TokenLogprobs:
    top = {
        str(one["token"]): rounded(float(one["logprob"])) for one in raw.get("top_logprobs") or ()
    }
    return TokenLogprobs(str(raw["token"]), rounded(float(raw["logprob"])), top)


def _given_tokens(
    text: str, completion: Mapping[str, Any], place: str
) -> tuple[TokenLogprobs, ...]:
    """Return the last tokens of the prompt, which spell the given reply."""
    rows = completion.get("prompt_logprobs")
    if not isinstance(rows, list):
        raise ProviderRejected(
            f"{place} returns no log-probabilities of a given text (prompt_logprobs), which the "
            "gate divergence compares; serve the model with vLLM, or write provider: transformers"
        )
    tokens: list[TokenLogprobs] = []
    spelled = ""
    for row in reversed(rows):
        if not row or len(spelled) >= len(text):
            break
        tokens.append(_prompt_token(row))
        spelled = tokens[-1].text + spelled
    if spelled.strip() != text.strip():
        raise RequestRejected(
            f"{place}: the last tokens of the prompt do not spell the given reply"
        )
    return tuple(reversed(tokens))


def _prompt_token(row: Mapping[str, Mapping[str, Any]]) -> TokenLogprobs:
    # The first one is the token of the prompt, the others are the likeliest in its place.
    first = next(iter(row.values()))
    # By their ids, since several tokens may be shown as the same text.
    top = {key: rounded(float(value["logprob"])) for key, value in row.items()}
    return TokenLogprobs(
        str(first.get("decoded_token") or ""), rounded(float(first["logprob"])), top
    )
