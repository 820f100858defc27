"""Batches of chats for a causal language model of Transformers, loaded by anyone."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from itertools import takewhile
from types import MappingProxyType
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria
from transformers.cache_utils import DynamicLayer

from pytest_ftgate.adapters.chat_template import TEMPLATE_OPTIONS
from pytest_ftgate.errors import ConfigurationError, ProviderRejected, RequestRejected
from pytest_ftgate.providers.answers import answer_end, obeyed
from pytest_ftgate.providers.decoding import (
    KeptFormats,
    PaddedBatch,
    cache_name,
    constraint_matcher,
    constraint_tokenizer,
    padded,
)
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request

#: How many of the last tokens are read to find a stop sequence in them.
_STOP_TOKENS = 24
#: Fewer tokens at the start of all prompts are read with each of them.
_LEAST_START = 16
#: A batch of fewer rows is computed to its end as it is.
_LEAST_HALVED = 4
_NO_FACTS: Mapping[str, str] = MappingProxyType({})


class BatchSize:
    """How many requests fit into the memory of a device at once, as far as it has been found out.

    Attributes:
        most: the largest batch that is tried; 0 without a limit.
        notice: one sentence on it, once batches have become smaller; "" before.
    """

    def __init__(self) -> None:
        self.most, self.notice = 0, ""
        self._fitted = self._failed = 0

    def fail(self, size: int) -> None:
        """Halve the batch of *size* requests, which does not fit.

        One request that does not fit even alone says nothing about others.
        """
        self._failed = size if size > 1 else 0
        self.most = (size + 1) // 2 if size > 1 else self._fitted

    def fit(self, size: int, device: str) -> None:
        """Note that a batch of *size* requests was answered on *device*."""
        self._fitted = max(self._fitted, size)
        if self._failed and not self.notice:
            self.notice = (
                f"{self._failed} requests at once do not fit into the memory of {device}: "
                f"{self.most} are sent at once from here on (slots: {self.most} starts with that)"
            )


class ChatModel:
    """A model with its tokenizer; it answers batches of requests.

    Replies are greedy, or sampled by a generator of each request's own: neither the other requests
    of a batch nor the state of the process change what a seed gives. Several on one model share
    *batches*. *facts* are recorded with each reply.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        batches: BatchSize | None = None,
        facts: Mapping[str, str] = _NO_FACTS,
    ) -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise ConfigurationError(
                "the tokenizer has no chat template; save the model with the template that it was "
                "trained with, or name the instruction-tuned model"
            )
        self.model, self.tokenizer = model, tokenizer
        self.batches, self.own_facts = batches or BatchSize(), facts
        self._reads_starts_once = True

    @property
    def facts(self) -> dict[str, str]:
        """What is worth recording."""
        return {
            "chat template sha256": sha256(str(self.tokenizer.chat_template).encode()).hexdigest(),
            "device": str(self.model.device),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            **self.own_facts,
        }

    def generate(self, requests: Sequence[Request]) -> list[Reply | Exception]:
        """Return a reply or an error for each of *requests*, in their order."""
        results: dict[int, Reply | Exception] = {}
        prompts: dict[int, list[int]] = {}
        for index, request in enumerate(requests):
            try:
                if request.constraint:
                    constraint_matcher(self._constraint_tokenizer, request.constraint)
                prompts[index] = self._prompt(request)
            except RequestRejected as error:
                results[index] = error
        start = time.perf_counter()
        text = str(self.tokenizer.chat_template)
        pairs = [(obeyed(requests[index], text), prompt) for index, prompt in prompts.items()]
        replies = self._within_memory(pairs)
        seconds = (time.perf_counter() - start) / max(1, len(prompts))
        facts = self.facts
        for index, reply in zip(prompts, replies, strict=True):
            results[index] = (
                replace(reply, seconds=seconds, facts=facts) if isinstance(reply, Reply) else reply
            )
        return [results[index] for index in range(len(requests))]

    def _prompt(self, request: Request) -> list[int]:
        chat = [{"role": role, "content": text} for role, text in request.messages]
        options = request.extra.get(TEMPLATE_OPTIONS, {})
        try:
            text = self.tokenizer.apply_chat_template(
                chat, tokenize=False, add_generation_prompt=True, **options
            )
        except (TemplateError, TypeError) as error:
            raise RequestRejected(
                f"the model's chat template refuses this chat: {error}"
            ) from error
        tokens: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        if not tokens:
            raise RequestRejected("the model's chat template makes an empty prompt of this chat")
        self._require_rows(tokens)
        most = getattr(self.model.config, "max_position_embeddings", None)
        if most and len(tokens) + request.max_tokens > most:
            raise RequestRejected(
                f"a prompt of {len(tokens):,} tokens and max_tokens {request.max_tokens:,} exceed "
                f"the {most:,} tokens that the model can read; shorten one of them"
            )
        return tokens

    def _require_rows(self, tokens: Sequence[int]) -> None:
        """Raise an error if one of *tokens*, which a trainer may have added, has no row.

        Raises:
            RequestRejected: it has none.
        """
        if max(tokens, default=0) >= self._rows:
            text = self.tokenizer.decode([max(tokens)])
            raise RequestRejected(
                f"its text has the token {text!r}, for which the model's embedding has no row"
            )

    def _within_memory(self, pairs: Sequence[tuple[Request, list[int]]]) -> list[Reply | Exception]:
        """Answer the requests, in batches that memory is large enough for."""
        results: list[Reply | Exception] = []
        while len(results) < len(pairs):
            batch = pairs[len(results) :][: self.batches.most or None]
            replies = self._fitting(batch)
            if replies is not None:
                self.batches.fit(len(batch), str(self.model.device))
                results += replies
                continue
            self.batches.fail(len(batch))
            if len(batch) == 1:
                results.append(RequestRejected(OUT_OF_MEMORY.format(device=self.model.device)))
        return results

    def _fitting(self, batch: Sequence[tuple[Request, list[int]]]) -> Sequence[Reply] | None:
        """Answer *batch*; return None if memory is too small for it."""
        try:
            return self._answer(batch)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # Only here are the tensors of the attempt free: the exception held them.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return None

    def _answer(self, pairs: Sequence[tuple[Request, list[int]]]) -> Sequence[Reply]:
        tokens = self._generate(pairs)
        return [
            self._reply(request, prompt, row)
            for (request, prompt), row in zip(pairs, tokens, strict=True)
        ]

    def _generate(self, pairs: Sequence[tuple[Request, list[int]]]) -> list[list[int]]:
        """Return the tokens of each reply, and what may follow its end.

        Once half of the rows have ended, the others go on as a smaller batch.
        """
        requests, prompts = zip(*pairs, strict=True)
        extra = {key: value for key, value in requests[0].extra.items() if key != TEMPLATE_OPTIONS}
        batch = PaddedBatch(requests, max(map(len, prompts)), self._ends)
        # Settings such as beams do not go on from a state.
        ending = _Ends(self.tokenizer, batch, is_halved=not extra)
        is_kept = any(request.constraint for request in requests)
        kept = [KeptFormats(self._constraint_tokenizer, batch)] if is_kept else []
        processors = LogitsProcessorList([*kept, _Sampler(batch)])
        options = {**_GREEDY, **extra, "use_cache": True, "return_dict_in_generate": True}
        try:
            with torch.inference_mode():
                inputs = self._inputs(prompts, [] if extra else self._shared_start(prompts))
                while batch.rows:
                    made = self.model.generate(
                        **inputs,
                        max_new_tokens=batch.left(inputs["input_ids"].shape[1]),
                        **options,
                        eos_token_id=[*self._ends],
                        pad_token_id=self._pad,
                        logits_processor=processors,
                        stopping_criteria=[ending],
                    )
                    batch.keep(made.sequences, ending.going)
                    if ending.going:
                        inputs = _rest(made, inputs["attention_mask"], ending.going)
                        ending.going = []
        except (TypeError, ValueError) as error:
            raise ProviderRejected(f"transformers refuses the request: {error}") from error
        return batch.replies

    @cached_property
    def _constraint_tokenizer(self) -> Any:
        return constraint_tokenizer(self.tokenizer, self._ends)

    def _inputs(self, prompts: Sequence[Sequence[int]], start: Sequence[int]) -> dict[str, Any]:
        """Return the prompts, padded on the left so that each ends where its reply begins.

        The *start* of all of them, such as a system prompt, is read once; what follows it is then
        padded on its left.
        """
        found = padded([prompt[len(start) :] for prompt in prompts], self._pad, self.model.device)
        # The model computes them from the mask.
        del found["position_ids"]
        if not start:
            return found
        tokens = torch.tensor([start], device=self.model.device)
        read = self.model(input_ids=tokens, use_cache=True, logits_to_keep=1)
        name = cache_name(read)
        # Others keep a state that a part of the rows cannot go on from, or a window of columns.
        if any(type(layer) is not DynamicLayer for layer in getattr(read[name], "layers", [None])):
            self._reads_starts_once = False
            return self._inputs(prompts, [])
        read[name].batch_repeat_interleave(len(prompts))
        tokens = tokens.expand(len(prompts), -1)
        parts = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
        joined = {key: torch.cat([part, found[key]], dim=1) for key, part in parts.items()}
        return {**joined, name: read[name]}

    def _shared_start(self, prompts: Sequence[Sequence[int]]) -> list[int]:
        """Return the tokens that all prompts begin with, if it pays to read them once."""
        config = getattr(self.model, "active_peft_config", None)
        # Adapters such as prefix tuning write into that state themselves.
        if not self._reads_starts_once or getattr(config, "is_prompt_learning", False):
            return []
        columns = takewhile(lambda tokens: len({*tokens}) == 1, zip(*prompts, strict=False))
        # One token of each is left, after which its reply begins.
        start = [tokens[0] for tokens in columns][: min(map(len, prompts)) - 1]
        return start if len(prompts) > 1 and len(start) >= _LEAST_START else []

    @cached_property
    def _ends(self) -> list[int]:
        """The tokens that end a reply."""
        configs = (getattr(self.model, "generation_config", None), self.model.config)
        found: list[Any] = [getattr(config, "eos_token_id", None) for config in configs]
        found.append(self.tokenizer.eos_token_id)
        ends: list[int] = []
        for value in found:
            ends += value if isinstance(value, list | tuple) else [value] * (value is not None)
        if not ends:
            raise ProviderRejected("neither model nor tokenizer has an end token (eos_token_id)")
        return [*dict.fromkeys(ends)]

    @property
    def _pad(self) -> int:
        """The token that fills the rows of a batch."""
        pad: int | None = self.tokenizer.pad_token_id
        # A trainer may have added one that no row of the embedding stands for.
        return self._ends[0] if pad is None or pad >= self._rows else pad

    @property
    def _rows(self) -> int:
        """How many tokens the model has a row of its embedding for."""
        config = self.model.config
        return int(getattr(config.get_text_config(), "vocab_size", None) or sys.maxsize)

    def _reply(self, request: Request, prompt: Sequence[int], made: Sequence[int]) -> Reply:
        made = made[: request.max_tokens]
        end = next((index for index, token in enumerate(made) if token in self._ends), None)
        text: str = self.tokenizer.decode(made[:end], skip_special_tokens=True)
        stop = "length" if end is None else "end"
        find_end = answer_end(request)
        stated = find_end(text) if find_end else None
        if stated is not None:
            text, stop = text[:stated], "end"
        for mark in request.sampling.get("stop", ()):
            if mark in text:
                text, stop = text.partition(mark)[0], "stop"
        output = len(made) if end is None else end + 1
        return Reply(text=text, stop=stop, usage={"input": len(prompt), "output": output})


#: What a model's own generation config may say otherwise.
_GREEDY: Mapping[str, Any] = {
    "do_sample": False,
    "num_beams": 1,
    **dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "typical_p")),
}
OUT_OF_MEMORY = (
    "{device} has too little memory for this request alone; write a smaller max_tokens, "
    "or load: {{dtype: bfloat16}}, {{quantization: nf4}} or {{device_map: auto}}"
)
#: What to do where the weights of a model or of an adapter do not fit.
TOO_LARGE = (
    "{device} has too little memory for the weights; write load: {{dtype: bfloat16}}, "
    "{{quantization: nf4}}, {{device_map: auto}} or {{device: cpu}}"
)


def has_fast_16_bits() -> bool:
    """Return True if torch multiplies in bfloat16 faster than in float32 on this processor."""
    return bool(torch.backends.cpu.get_cpu_capability().startswith("AVX512"))


#: What the errors of devices say that have too little memory.
_NO_MEMORY = ("out of memory", "can't allocate", "alloc_failed")


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if *error* says that a device has too little memory."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(words in text for words in _NO_MEMORY)
    )


def _rest(made: Any, mask: Any, going: Sequence[int]) -> dict[str, Any]:
    """Return the inputs with which the rows at the places *going* go on from what is *made*."""
    places = torch.tensor(going, device=made.sequences.device)
    tokens = made.sequences[places]
    new = torch.ones_like(tokens[:, mask.shape[1] :])
    inputs = {"input_ids": tokens, "attention_mask": torch.cat([mask[places], new], dim=1)}
    name = cache_name(made)
    state = made.get(name)
    # Other kinds of state cannot be cut to some of the rows, so their tokens are read again.
    if all(type(layer) is DynamicLayer for layer in getattr(state, "layers", [None])):
        state.batch_select_indices(places)
        inputs[name] = state
    return inputs


class _Sampler(LogitsProcessor):  # type: ignore[misc]
    """Adds noise to the scores of sampled requests, so that the largest is a sample."""

    def __init__(self, batch: PaddedBatch) -> None:
        self._rows = batch.rows
        self._settings: dict[int, tuple[float, float, torch.Generator]] = {}
        for row, request in enumerate(batch.requests):
            temperature = float(request.sampling.get("temperature") or 0.0)
            if temperature:
                # Repeats must differ from each other, and each must be the same in the next run.
                seed = int(request.sampling.get("seed", 0)) + request.repeat
                generator = torch.Generator().manual_seed(seed)
                top_p = float(request.sampling.get("top_p", 1.0))
                self._settings[row] = temperature, top_p, generator

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        del input_ids
        for place, row in enumerate(self._rows):
            if row not in self._settings:
                continue
            temperature, top_p, generator = self._settings[row]
            logits = scores[place].float().cpu() / temperature
            if top_p < 1.0:
                logits = _nucleus(logits, top_p)
            # The largest of logits with Gumbel noise is a sample from their softmax.
            uniform = torch.rand(logits.shape, generator=generator).clamp_min(1e-20)
            noisy = logits - torch.log(-torch.log(uniform))
            scores[place] = noisy.to(scores.device, scores.dtype)
        return scores


def _nucleus(logits: Any, top_p: float) -> Any:
    """Return *logits* without the tokens beyond the most likely ones of the share *top_p*."""
    ordered, order = logits.sort(descending=True)
    shares = ordered.softmax(-1)
    beyond = shares.cumsum(-1) - shares >= top_p
    return logits.index_fill(0, order[beyond], float("-inf"))


class _Ends(StoppingCriteria):  # type: ignore[misc]
    """Ends each row at its own token limit, at a stop sequence, or where its answer ends.

    With *is_halved* all rows end once half of them have; *going* are the places of the others.
    """

    def __init__(self, tokenizer: Any, batch: PaddedBatch, *, is_halved: bool) -> None:
        self._tokenizer, self._batch, self._is_halved = tokenizer, batch, is_halved
        self._answer_ends = [answer_end(request) for request in batch.requests]
        self._ended: set[int] = set()
        self.going: list[int] = []

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        del scores, kwargs
        replies = input_ids[:, self._batch.width :]
        rows = self._batch.rows
        done = [self._is_over(row, reply) for row, reply in zip(rows, replies, strict=False)]
        for row, over in zip(rows, done, strict=False):
            if over:
                self._batch.lengths.setdefault(row, replies.shape[1])
        if self._is_halved and not self.going:
            self._halve(done, replies[:, -1].tolist())
        return torch.tensor([bool(self.going) or over for over in done], device=input_ids.device)

    def _is_over(self, row: int, reply: Any) -> bool:
        request, find_end = self._batch.requests[row], self._answer_ends[row]
        if len(reply) >= request.max_tokens:
            return True
        if find_end and find_end(self._decoded(reply)) is not None:
            return True
        marks = request.sampling.get("stop")
        text = self._decoded(reply[-_STOP_TOKENS:]) if marks else ""
        return any(mark in text for mark in marks or ())

    def _decoded(self, tokens: Any) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    def _halve(self, done: Sequence[bool], last: Sequence[int]) -> None:
        """Note the rows that have ended; if they are half of all, the others are to go on."""
        rows = self._batch.rows
        ended = zip(rows, done, last, strict=True)
        self._ended |= {row for row, over, token in ended if over or token in self._batch.ends}
        going = [place for place, row in enumerate(rows) if row not in self._ended]
        if len(rows) >= _LEAST_HALVED and 2 * len(going) <= len(rows):
            self.going = going
