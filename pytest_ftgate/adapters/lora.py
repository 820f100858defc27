"""A LoRA adapter, a GGUF file or the folder that a trainer writes: digest, config, facts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from math import sqrt
from pathlib import Path
from typing import Any

from pytest_ftgate.adapters.config import config_problem
from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.weights import file_sha256
from pytest_ftgate.weights_file import check_gguf, read_json_object

#: The two files of an adapter in PEFT's format.
CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
_GGUF_MAGIC = b"GGUF"
#: What to do with an adapter that cannot be converted.
MERGE = (
    "merge the adapter into its base, convert that to GGUF, and write model: MERGED.gguf and "
    "base: BASE.gguf"
)
#: What takes a folder that llama.cpp cannot.
OTHER_PROVIDERS = "provider: transformers and vLLM take the folder as it is"
#: What to do with an adapter of another kind than LoRA.
_OTHER_KIND = "train a LoRA adapter, or merge this one into its base"
#: Keys of the config that change more than LoRA matrices, if they are set.
_UNSUPPORTED = {
    "use_dora": "it uses DoRA (use_dora)",
    "modules_to_save": "it replaces whole layers (modules_to_save)",
    "trainable_token_indices": "it changes embeddings (trainable_token_indices)",
    "lora_bias": "it has biases (lora_bias)",
    "layer_replication": "it repeats layers (layer_replication)",
    "target_parameters": "it changes parameters without a module (target_parameters)",
    "alora_invocation_tokens": "it is active after some tokens only (alora_invocation_tokens)",
    **{key: f"it uses a variant of LoRA ({key})" for key in ("use_qalora", "use_bdlora")},
    **{key: f"it uses a variant of LoRA ({key})" for key in ("kasa_config", "arrow_config")},
}
#: Starting points that also change the weights of the base.
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


def adapter_path(path: Path) -> Path:
    """Return the adapter at *path*: the folder, if it is the weights of a trainer's folder."""
    is_weights = path.name == WEIGHTS_FILE and path.with_name(CONFIG_FILE).is_file()
    return path.parent if is_weights else path


def adapter_sha256(path: Path) -> str:
    """Return a digest of the adapter at *path*, a file or a folder.

    In a folder with an adapter's config, only the adapter counts, and no state of its training.
    """
    if path.is_file():
        return file_sha256(path)
    pattern = "adapter*" if (path / CONFIG_FILE).is_file() else "**/*"
    names = {file.relative_to(path).as_posix(): file for file in path.glob(pattern)}
    files = [
        [name, file_sha256(file)]
        for name, file in sorted(names.items())
        if file.is_file() and not name.startswith(".")
    ]
    return sha256(json.dumps(files).encode()).hexdigest()


@dataclass(frozen=True)
class LoraConfig:
    """The content of an ``adapter_config.json``."""

    values: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> LoraConfig:
        """Return the config in *folder*.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        return cls(read_json_object(folder / CONFIG_FILE))

    def kind_problem(self, engine: str) -> str:
        """Return why *engine* does not apply such a kind of adapter; "" if it does."""
        kind = str(self.values.get("peft_type", "")).upper()
        named = f"its peft_type is {kind or 'missing'}"
        return "" if kind == "LORA" else f"{named}, and {engine} applies LORA only"

    def problem(self) -> str:
        """Return why llama.cpp cannot apply such an adapter; "" if it can."""
        if reason := self.kind_problem("llama.cpp"):
            return reason
        if self.values.get("bias", "none") != "none":
            return f"it has biases (bias: {self.values['bias']})"
        start = str(self.values.get("init_lora_weights"))
        if start.lower().startswith(_CHANGES_BASE):
            return f"its training changed the base as well (init_lora_weights: {start})"
        numbers = [self.values.get(key) for key in ("r", "lora_alpha")]
        numbers += [*self._pattern("rank_pattern").values()]
        numbers += [*self._pattern("alpha_pattern").values()]
        if not all(isinstance(number, int | float) and number > 0 for number in numbers):
            return "r and lora_alpha must be numbers above 0"
        return next((why for key, why in _UNSUPPORTED.items() if self.values.get(key)), "")

    @property
    def base(self) -> str:
        """The name or the path of the model that the adapter was trained on, or ""."""
        return str(self.values.get("base_model_name_or_path") or "")

    @property
    def uses_rslora(self) -> bool:
        """True if alpha is divided by the root of the rank instead of the rank."""
        return bool(self.values.get("use_rslora"))

    def _pattern(self, key: str) -> Mapping[str, float]:
        value = self.values.get(key)
        return value if isinstance(value, Mapping) else {}

    def rank_of(self, module: str) -> float:
        """Return the rank of *module* by its full name."""
        return self._value_of(module, "rank_pattern", "r")

    def alpha_of(self, module: str) -> float:
        """Return the alpha of *module* by its full name."""
        return self._value_of(module, "alpha_pattern", "lora_alpha")

    def _value_of(self, module: str, pattern: str, default: str) -> float:
        # Imported on demand: it is slow, and most runs have no such pattern.
        import regex

        for key, value in self._pattern(pattern).items():
            # The rule of PEFT. A hostile pattern could take for ever.
            with suppress(regex.error, TimeoutError):
                if regex.match(rf"(.*\.)?({key})$", module, timeout=1.0):
                    return value
        return float(self.values[default])

    @cached_property
    def strengths(self) -> tuple[tuple[float, float], ...]:
        """Each alpha and rank that modules may have, those of most modules first."""
        ranks, alphas = self._pattern("rank_pattern"), self._pattern("alpha_pattern")
        default_alpha, default_rank = self.values["lora_alpha"], self.values["r"]
        pairs = [
            (alphas.get(key, default_alpha), ranks.get(key, default_rank))
            for key in ("", *ranks, *alphas)
        ]
        return tuple(dict.fromkeys(pairs))

    def max_rank(self) -> int:
        """Return the largest rank of a module."""
        return int(max(rank for _, rank in self.strengths))


#: Scales that differ by less are the same.
_SAME_SCALE = 0.01
#: Keys of PEFT's config, and the names of the facts.
_FACTS = {
    "base_model_name_or_path": "adapter base",
    "revision": "adapter base revision",
    "peft_type": "adapter type",
    "r": "adapter rank",
    "lora_alpha": "adapter alpha",
}


@lru_cache(maxsize=64)
def adapter_facts(path: Path, digest: str, scale: float = 1.0) -> Mapping[str, str]:
    """Return the facts about the adapter at *path*, whose content has the *digest*.

    They come from the GGUF file, and from the config in the folder or beside the file. Facts that
    cannot be read are left out, since the adapter may work without them.
    """
    del digest  # The cache's key: a file may change while this process runs.
    facts: dict[str, Any] = {}
    strengths: Iterable[tuple[float, float]] = ()
    is_rslora = False
    if path.is_file():
        with suppress(ConfigurationError, ImportError, OSError, ValueError, KeyError, IndexError):
            gguf_facts, strengths = _weight_facts(path)
            facts |= gguf_facts
    folder = path if path.is_dir() else path.parent
    with suppress(ConfigurationError, KeyError, TypeError):
        config = LoraConfig.read(folder)
        facts |= {name: config.values.get(key) for key, name in _FACTS.items()}
        if path.is_dir():
            strengths, is_rslora = config.strengths, config.uses_rslora
    with suppress(TypeError, ArithmeticError, ValueError):
        texts = (_strength(scale, alpha, rank, is_rslora) for alpha, rank in strengths)
        facts["adapter scale"] = ", ".join(texts) or None
    return {name: str(value) for name, value in facts.items() if value is not None}


@lru_cache(maxsize=64)
def scale_of_file(path: Path, digest: str) -> float | None:
    """Return how often the GGUF file at *path* counts what the config beside it says.

    The result is None if it counts as much, or if that is not known. *digest* is of the content.
    """
    del digest  # As for adapter_facts.
    if not path.is_file():
        return None
    numbers = (ValueError, LookupError, TypeError, ArithmeticError)
    with suppress(ConfigurationError, ImportError, OSError, *numbers):
        config = LoraConfig.read(path.parent)
        (alpha, rank), *_ = _weight_facts(path)[1]
        trained = {rank: alpha for alpha, rank in reversed(config.strengths)}
        divisor = sqrt(rank) if config.uses_rslora else rank
        # Without alpha, llama.cpp takes the matrices as they are.
        ratio = (alpha / rank if alpha else 1.0) / (trained[rank] / divisor)
        return None if abs(ratio - 1) < _SAME_SCALE else ratio
    return None


def _strength(scale: float, alpha: float, rank: float, is_rslora: bool) -> str:  # noqa: FBT001
    """Return the factor of the adapter's changes as ``1 × 16/8 = 2``."""
    if not alpha:
        # A GGUF file without alpha: llama.cpp takes the matrices as they are.
        return f"{scale:g}"
    divisor, root = (sqrt(rank), "√") if is_rslora else (rank, "")
    return f"{scale:g} × {alpha:g}/{root}{rank:g} = {scale * alpha / divisor:.4g}"


def _weight_facts(path: Path) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    from gguf import GGUFReader

    check_gguf(path)
    reader = GGUFReader(path)
    counts = Counter(int(t.shape[-1]) for t in reader.tensors if t.name.endswith(".lora_a"))
    kind, alpha = (reader.get_field(f"adapter.{key}") for key in ("type", "lora.alpha"))
    value = float(alpha.contents()) if alpha else 0.0
    facts = {
        "adapter rank": ", ".join(map(str, sorted(counts))) or None,
        "adapter type": kind.contents() if kind else None,
        "adapter alpha": f"{value:g}" if alpha else None,
    }
    return facts, [(value, rank) for rank, _ in counts.most_common()]


def unusable_reason(path: Path) -> str:
    """Return why llama.cpp cannot use the adapter at *path*, with a remedy; "" if it may.

    Only the config and the first bytes are read. The conversion reads the rest.
    """
    if path.is_dir():
        return folder_problem(path)
    with path.open("rb") as stream:
        if stream.read(len(_GGUF_MAGIC)) == _GGUF_MAGIC:
            return ""
    return (
        "is neither a GGUF file nor the folder in which a trainer saves an adapter "
        f"({CONFIG_FILE}, {WEIGHTS_FILE})"
    )


def missing_config(path: Path) -> str:
    """Return what to name instead of *path* if it is a folder without an adapter, or ""."""
    if not path.is_dir() or (path / CONFIG_FILE).is_file():
        return ""
    return f"has no {CONFIG_FILE}; {_folder_hint(path)}"


def peft_problem(path: Path) -> str:
    """Return why PEFT cannot load the adapter at *path*, with a remedy; "" if it may."""
    if path.is_file():
        return f"is a file; name the folder in which a trainer saves an adapter ({CONFIG_FILE})"
    return _problem(path, lambda config: config.kind_problem("this package"), _OTHER_KIND)


def folder_problem(folder: Path) -> str:
    """Return why the adapter in *folder* cannot be converted, with a remedy; "" if it may."""
    return _problem(folder, LoraConfig.problem, MERGE)


def _problem(folder: Path, check: Callable[[LoraConfig], str], remedy: str) -> str:
    """Return why the adapter in *folder* cannot be used: a file, its kind by *check*, or a key."""
    if reason := missing_config(folder) or _missing_weights(folder):
        return reason
    try:
        config = LoraConfig.read(folder)
    except ConfigurationError as error:
        return f"cannot be used: {error}"
    if problem := check(config):
        return f"cannot be used as an adapter: {problem}; {remedy}"
    problem = config_problem(config.values)
    return f"cannot be used: {CONFIG_FILE}: {problem}" if problem else ""


def _missing_weights(folder: Path) -> str:
    if (folder / WEIGHTS_FILE).is_file():
        return ""
    pickled = (folder / "adapter_model.bin").is_file()
    hint = "it has a pickle; save with safe_serialization=True" if pickled else "save it again"
    return f"has no {WEIGHTS_FILE}; {hint}"


def _folder_hint(folder: Path) -> str:
    """Return what to name instead of *folder*: the newest checkpoint in it, or a merged model."""
    found = [config.parent for config in folder.glob(f"*/{CONFIG_FILE}")]
    if found:
        newest = max(found, key=lambda path: (path / CONFIG_FILE).stat().st_mtime_ns)
        return f"did you mean {newest.name} in it?"
    if (folder / "config.json").is_file():
        return "it is a whole model: convert it to GGUF, and write model: FILE.gguf and base: …"
    return "name the folder in which the trainer saved the adapter"
