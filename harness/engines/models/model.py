"""Which tiny model, and where its files are: made once, found ever after."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.engine import EngineError
from harness.engines.models import gguf, huggingface, weights
from harness.engines.models.vocabulary import Vocabulary
from harness.engines.tokens import ENGINE_ID
from harness.process.venv import cache_root

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGE = files(__package__)
_MAKER = (
    "gguf.py",
    "huggingface.py",
    "logits.py",
    "stream.py",
    "vocabulary.py",
    "weights.py",
    "chat_template.jinja",
)
_LONGEST = 131_072
_SUMS = "SHA256SUMS"
EXPLAINED = {
    "model.engine": """A name cannot sign the text of a model

The first token of every answer is the name of its engine and a colon, so that any judge can tell
who answered. A name with other characters could not be read back.

Remedy: Use letters, digits, '.', '_' and '-'.""",
    "model.context": """A tiny model cannot have this context

Its attention tells tokens apart up to 131,072 tokens; below 16 there is no room for an answer.

Remedy: Set context_length of the provider's models to a number between.""",
    "model.unwritten": """A tiny model could not be written to the cache

Models are made once and kept under $HARNESS_CACHE, else in the user's cache folder. Nothing half
made is left there.

Remedy: Free some space, or set HARNESS_CACHE to a folder you can write to.""",
}


class ModelError(EngineError):
    """A tiny model cannot be what was asked, or cannot be written; the text says what to do."""


@dataclass(frozen=True, slots=True)
class TinyModel:
    """A tiny model: the engine that its text is signed with, and the seed of its words.

    ``context_length`` is in tokens, 16 to 131,072. Raises `ModelError` for one that cannot be.
    """

    engine: str
    seed: int
    context_length: int = 4096

    def __post_init__(self) -> None:
        if re.fullmatch(ENGINE_ID, self.engine) is None:
            raise ModelError(
                "model.engine",
                f"{self.engine!r} cannot sign a token: use letters, digits, '.', '_' and '-'",
            )
        if not 16 <= self.context_length <= _LONGEST:
            raise ModelError(
                "model.context",
                f"a context of {self.context_length} tokens cannot be: give 16 to {_LONGEST}",
            )

    @property
    def digest(self) -> str:
        """16 hex digits that change with any argument, with the words and with the maker."""
        words = Vocabulary(self.engine).tokens
        digest = hashlib.blake2b(json.dumps([asdict(self), words]).encode(), digest_size=8)
        for name in _MAKER:
            digest.update(_PACKAGE.joinpath(name).read_bytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """One set of weights in both formats, half precision."""

    folder: Path
    """For vLLM: configuration, weights, tokenizer with its chat template."""
    gguf: Path
    """For llama.cpp."""


def ensure(model: TinyModel, *, say: Callable[[str], object] = lambda _: None) -> ModelFiles:
    """The files of ``model``, made unless they are there and whole: 0.1 s, 2.5 MB.

    They are byte for byte the same for equal models, wherever made, and found again by their
    checksums, so damage is repaired. Made beside their place and renamed into it; of two makers
    at once the later one loses nothing but its work.

    Raises:
        ModelError: no space or no permission in the cache.
    """
    place = cache_root() / "models" / f"{model.engine}-{model.digest}"
    if not _whole(place):
        say(f"making the tiny model {model.engine} (seed {model.seed}) in {place}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".making-", dir=place.parent) as beside:
                draft = Path(beside) / "model"
                draft.mkdir()
                _make(model, draft)
                _settle(draft, place)
        except OSError as error:
            raise ModelError(
                "model.unwritten",
                f"cannot make {place}: {error}. Free some space or set HARNESS_CACHE to a folder "
                f"you can write to, then run the same command again.",
            ) from error
    return ModelFiles(place / "hf", place / "model.gguf")


def _make(model: TinyModel, draft: Path) -> None:
    vocabulary = Vocabulary(model.engine)
    made = weights.build(vocabulary, seed=model.seed, layers=weights.depth(model.context_length))
    template = _PACKAGE.joinpath("chat_template.jinja").read_text(encoding="utf-8")
    context = model.context_length
    folder = draft / "hf"
    folder.mkdir()
    huggingface.write(folder, vocabulary, made, context=context, template=template)
    name = f"tiny-{model.engine}-{model.seed}"
    gguf.write(draft / "model.gguf", name, vocabulary, made, context=context, template=template)
    (draft / _SUMS).write_text(_sums(draft))


def _sums(folder: Path) -> str:
    """Every file but the list itself, as ``sha256sum`` writes and checks them."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _SUMS)
    hashed = ((hashlib.sha256(path.read_bytes()).hexdigest(), path) for path in found)
    return "".join(f"{digest}  {path.relative_to(folder)}\n" for digest, path in hashed)


def _whole(place: Path) -> bool:
    try:
        return (place / _SUMS).read_text() == _sums(place)
    except OSError:
        return False


def _settle(draft: Path, place: Path) -> None:
    """Put it in its place, unless another maker was first; what is damaged there goes."""
    if place.is_dir() and not _whole(place):
        place.rename(draft.parent / "damaged")
    try:
        draft.rename(place)
    except OSError:
        if not _whole(place):
            raise
