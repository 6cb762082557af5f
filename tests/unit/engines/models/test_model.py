from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.engines.models import ModelError, TinyModel, ensure
from harness.engines.models import model as module

ROOT = Path(__file__).parents[4]
SMALL = TinyModel("vllm", 3, 64)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "models"


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_it_is_made_once_and_then_found(cache: Path) -> None:
    said: list[str] = []
    first = ensure(SMALL, say=said.append)
    stamp = first.gguf.stat().st_mtime_ns
    assert ensure(SMALL, say=said.append) == first
    assert (len(said), first.gguf.stat().st_mtime_ns) == (1, stamp)
    assert [path.parent for path in (first.folder, first.gguf)] == list(cache.iterdir()) * 2


def test_equal_models_are_equal_bytes_in_two_processes(cache: Path, tmp_path: Path) -> None:
    ensure(SMALL)
    make = f"from harness.engines.models import *; ensure({SMALL!r})"
    elsewhere = {**os.environ, "HARNESS_CACHE": str(tmp_path / "other"), "PYTHONHASHSEED": "1"}
    subprocess.run([sys.executable, "-c", make], env=elsewhere, cwd=ROOT, check=True)
    assert contents(cache) == contents(tmp_path / "other" / "models") != {}


@pytest.mark.parametrize(
    "other", [TinyModel("llama", 3, 64), TinyModel("vllm", 4, 64), TinyModel("vllm", 3, 65)]
)
def test_another_model_has_another_place(other: TinyModel) -> None:
    assert ensure(SMALL).gguf.parent != ensure(other).gguf.parent


def test_another_maker_makes_it_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = SMALL.digest
    monkeypatch.setattr(module, "_MAKER", module._MAKER[:-1])
    assert SMALL.digest != before


def test_makers_at_once_leave_one_whole_model(cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: ensure(SMALL), range(4)))
    assert len(made) == len(list(cache.iterdir())) == 1
    assert made.pop().folder.is_dir()


@pytest.mark.parametrize("name", ["model.gguf", "hf/config.json", "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_model_is_made_anew(cache: Path, name: str, damage: str) -> None:
    ensure(SMALL)
    before = contents(cache)
    (file,) = cache.glob(f"*/{name}")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:10])
    else:
        file.unlink()
    assert contents(cache) != before
    ensure(SMALL)
    assert contents(cache) == before
    assert len(list(cache.iterdir())) == 1


def test_what_breaks_off_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.gguf, "write", break_off)
    with pytest.raises(KeyboardInterrupt):
        ensure(SMALL)
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="HARNESS_CACHE") as caught:
        ensure(SMALL)
    assert caught.value.id == "model.unwritten"


@pytest.mark.parametrize(
    ("engine", "context", "id_"),
    [
        ("two words", 64, "model.engine"),
        ("a", 15, "model.context"),
        ("a", 131_073, "model.context"),
    ],
)
def test_a_model_that_cannot_be_is_refused(engine: str, context: int, id_: str) -> None:
    with pytest.raises(ModelError) as caught:
        TinyModel(engine, 1, context)
    assert caught.value.id == id_
    assert id_ in module.EXPLAINED
