"""What a ``--target`` of tests/contract means, asked of pytest itself and of real sockets."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel, Settings

if TYPE_CHECKING:
    from harness.engines.ledger import LedgerEntry

ROOT = Path(__file__).parents[2]


def contract(
    *words: str, cache: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    if cache is not None:
        environ["HARNESS_CACHE"] = str(cache)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "tests/contract", *words],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_target_that_cannot_be_is_an_error_before_anything_is_started(tmp_path: Path) -> None:
    done = contract("--collect-only", "--target=real:vllm", cache=tmp_path)
    assert done.returncode == 4
    assert "nox -s engines -- vllm" in done.stderr


def test_every_test_id_says_whether_it_is_real(tmp_path: Path) -> None:
    done = contract("--collect-only", "--target=vllm", cache=tmp_path)
    assert "[emulated:vllm-chat.whole]" in done.stdout


def test_a_key_that_is_not_set_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    words = ["--target=http://127.0.0.1:9/v1", "--key-env=NO_SUCH_KEY"]
    done = contract(*words, cache=tmp_path)
    assert done.returncode == 4
    assert "$NO_SUCH_KEY is not set" in done.stderr


def test_a_server_that_is_not_there_is_one_error_and_not_one_a_check(tmp_path: Path) -> None:
    done = contract("--target=http://127.0.0.1:9/v1", cache=tmp_path)
    assert done.returncode == 4
    assert "cannot connect to 127.0.0.1:9" in done.stdout
    assert "Traceback" not in done.stdout
    assert "FAILED" not in done.stdout


@pytest.mark.parametrize("live", [False, True])
def test_somebodys_server_is_only_read_from_unless_it_is_live(
    tmp_path: Path, *, live: bool
) -> None:
    spec = EmulatorSpec(
        id="theirs",
        dialect="openai",
        models=(ServedModel(id="m", context_length=4096),),
        api_key="their-key",
        settings=Settings(ttft_ms=1, itl_ms=3),
    )

    async def story() -> tuple[subprocess.CompletedProcess[str], list[LedgerEntry]]:
        engine = EmulatedEngine(spec, log=tmp_path / "theirs.log")
        await engine.start()
        try:
            await engine.ready()
            words = [f"--target={engine.endpoint}/v1", "--key-env=THEIR_KEY", "-rs"]
            more = ["--live", "-k", "test_contract"] if live else []
            done = await asyncio.to_thread(
                contract, *words, *more, cache=tmp_path, THEIR_KEY="their-key"
            )
            return done, await engine.ledger()
        finally:
            await engine.stop()

    done, ledger = asyncio.run(story())
    assert done.returncode == 0, done.stdout
    methods = {entry.method for entry in ledger}
    assert methods == ({"GET", "POST"} if live else {"GET"})
    assert ("say --live" in done.stdout) is not live
    assert "asked remote:127.0.0.1:" in done.stdout
    assert "held to no known deviation: say --as NAME" in done.stdout
