"""The clients that are compared: how each is installed, started and read."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from abc import ABC, abstractmethod
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from play import BODY
from readings import Reading
from running import EVENTS, FailedError, Ran, run

from harness.engines import models
from harness.engines.installs import KNOWN, InstallError
from harness.engines.installs.locks import lock as engine_lock
from harness.engines.installs.vllm import finds_cpu_torch
from harness.process.command import CommandError
from harness.process.venv import (
    EnvironmentBuildError,
    cache_root,
    ensure,
    fingerprint,
    is_complete,
    python_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
OFFLINE = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1"}


class MissingError(RuntimeError):
    """A client that cannot be had on this machine; the text is the reason."""


class Client(ABC):
    """A load generator: installed at need, run against a port, its own figures read."""

    name: str
    own_cpu = False
    """Whether it tells the CPU time of the load alone; else its start is measured too."""

    def prepare(self, say: Callable[[str], object]) -> None:  # noqa: B027 - some need nothing
        """Install it unless it is there. Raises MissingError."""

    @abstractmethod
    def play(self, port: int, users: int, requests: int, folder: Path) -> Reading:
        """Run a closed loop. Raises FailedError."""


class Ours(Client):
    """`harness.wire.engine.LoadEngine`."""

    name = "engine"
    own_cpu = True

    def play(self, port: int, users: int, requests: int, folder: Path) -> Reading:  # noqa: ARG002
        """Run `play.py`."""
        words: list[str | Path] = [
            sys.executable,
            HERE / "play.py",
            str(port),
            str(users),
            str(requests),
        ]
        ran = run(words, env={"PYTHONPATH": str(ROOT)})
        said = json.loads(ran.output.splitlines()[-1])
        return _reading(said, said.pop("cpu_s"))


class Floor(Client):
    """The client in C."""

    own_cpu = True

    def __init__(self, gather_us: int = 0) -> None:
        self.name = "C gather" if gather_us else "C"
        self._gather_us = gather_us

    @cached_property
    def _program(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="floor-")) / "floor"

    def prepare(self, say: Callable[[str], object]) -> None:  # noqa: ARG002
        """Compile it."""
        if shutil.which("cc") is None:
            raise MissingError("there is no C compiler: apt install gcc")
        run(["cc", "-O2", "-o", self._program, HERE / "floor.c"])

    def play(self, port: int, users: int, requests: int, folder: Path) -> Reading:
        """Run it and read what it wrote with our own parser."""
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        dump = folder / "dump"
        words: list[str | Path] = [
            self._program,
            str(port),
            str(users),
            str(requests),
            str(self._gather_us),
            dump,
        ]
        said = json.loads(run(words, stdin=head + BODY).output)
        words = [sys.executable, HERE / "readings.py", dump, str(said["offset_ns"])]
        # In a process of its own: what ours has had counts as the peak of all it starts.
        figures = json.loads(run(words, env={"PYTHONPATH": str(ROOT)}).output.splitlines()[-1])
        figures |= {"peak_mb": said["peak_kb"] / 1e3, "wall_s": said["wall_s"]}
        return _reading(figures, said["cpu_s"])


class Peer(Client):
    """A client of somebody else, in an environment of its own."""

    name: str

    def __init__(self) -> None:
        self._python: Path | None = None

    def prepare(self, say: Callable[[str], object]) -> None:
        """Build its environment from its lock, once; goes on where it stopped."""
        place = cache_root() / "peers"
        try:
            for way in self.ways():
                there = place / f"{self.name}-{fingerprint(*way)}"
                if is_complete(there, *way):
                    self._python = python_of(there)
                    return
            way = self.chosen(say)
            self._python = ensure(place / f"{self.name}-{fingerprint(*way)}", *way, say=say)
        except (CommandError, EnvironmentBuildError) as error:
            raise MissingError(str(error)) from error

    def ways(self) -> list[list[Path]]:
        """The locks of each way to install it."""
        return [[HERE / "locks" / f"{self.name}.lock"]]

    def chosen(self, say: Callable[[str], object]) -> list[Path]:  # noqa: ARG002
        """The way that this machine can take. Raises CommandError."""
        return self.ways()[0]

    @property
    def bin(self) -> Path:
        """Folder of its programs."""
        if self._python is None:
            raise MissingError(f"{self.name} was not installed")
        return self._python.parent


class Guidellm(Peer):
    """guidellm, closed loop with synthetic prompts."""

    name = "guidellm"

    def ways(self) -> list[list[Path]]:
        """With the CPU's torch, which few indexes have, or with CUDA's, which needs no GPU."""
        [[own]] = super().ways()
        return [[own, engine_lock("torch-cpu")], [own, engine_lock("torch")]]

    def chosen(self, say: Callable[[str], object]) -> list[Path]:
        """The CPU's torch where pip finds it."""
        cpu, cuda = self.ways()
        if finds_cpu_torch(Path(sys.executable), say):
            return cpu
        say("  pip finds none: taking CUDA's, 4 GB more")
        return cuda

    def play(self, port: int, users: int, requests: int, folder: Path) -> Reading:
        """Run it; its percentiles are in its JSON."""
        report = folder / "report.json"
        words: list[str | Path] = [self.bin / "guidellm", "run"]
        words += ["--backend", f"kind=openai_http,target=http://127.0.0.1:{port},model=timed"]
        words += ["--profile", f"kind=concurrent,streams={users}"]
        words += ["--constraint", f"kind=max_requests,count={requests}"]
        words += ["--data", f"kind=synthetic_text,prompt_tokens=8,output_tokens={EVENTS}"]
        words += ["--tokenizer", f"kind=huggingface_auto,model={_tokenizer()}"]
        words += ["--output", f"kind=json,path={report}", "--disable-console-interactive"]
        ran = run(words, env=OFFLINE)
        found = json.loads(report.read_text())["benchmarks"][0]["metrics"]
        ttft = found["time_to_first_token_ms"]["successful"]["percentiles"]
        itl = found["inter_token_latency_ms"]["successful"]["percentiles"]
        good = found["request_totals"]["successful"]
        return _peer(ran, good, ttft["p50"], ttft["p99"], itl["p50"])


class Aiperf(Peer):
    """aiperf, closed loop with synthetic prompts, tokens counted from usage."""

    name = "aiperf"

    def play(self, port: int, users: int, requests: int, folder: Path) -> Reading:
        """Run it; its percentiles are in its JSON."""
        words: list[str | Path] = [
            self.bin / "aiperf",
            "profile",
            "--model",
            "timed",
            "--endpoint-type",
            "chat",
        ]
        words += ["--streaming", "--url", f"http://127.0.0.1:{port}", "--ui", "none"]
        words += ["--concurrency", str(users), "--request-count", str(requests)]
        words += ["--tokenizer", _tokenizer(), "--synthetic-input-tokens-mean", "8"]
        words += ["--use-server-token-count", "--artifact-dir", str(folder), "--random-seed", "1"]
        ran = run(words, env={**OFFLINE, "HF_HUB_OFFLINE": ""})
        found = json.loads((folder / "profile_export_aiperf.json").read_text())
        ttft, itl = found["time_to_first_token"], found["inter_token_latency"]
        good = int(found["request_count"]["avg"])
        return _peer(ran, good, ttft["p50"], ttft["p99"], itl["p50"])


class VllmBench(Client):
    """`vllm bench serve` of the installed engine, by its module: its script lacks its package."""

    name = "vllm bench"
    _MAIN = (
        "import argparse, sys\n"
        "from vllm.benchmarks.serve import add_cli_args, main\n"
        "parser = argparse.ArgumentParser()\n"
        "add_cli_args(parser)\n"
        "main(parser.parse_args(sys.argv[1:]))\n"
    )

    def prepare(self, say: Callable[[str], object]) -> None:  # noqa: ARG002
        """Find the installed engine."""
        try:
            self._python = KNOWN["vllm"].program("python")
        except InstallError as error:
            raise MissingError(str(error)) from error

    def play(self, port: int, users: int, requests: int, folder: Path) -> Reading:
        """Run it; its percentiles are in its JSON."""
        words: list[str | Path] = [
            self._python,
            "-c",
            self._MAIN,
            "--backend",
            "openai-chat",
            "--model",
            "timed",
        ]
        words += ["--base-url", f"http://127.0.0.1:{port}", "--endpoint", "/v1/chat/completions"]
        words += ["--tokenizer", _tokenizer(), "--dataset-name", "random", "--input-len", "8"]
        words += ["--output-len", str(EVENTS), "--num-prompts", str(requests), "--disable-tqdm"]
        words += ["--max-concurrency", str(users), "--save-result", "--result-dir", str(folder)]
        words += ["--result-filename", "result.json", "--percentile-metrics", "ttft,itl"]
        ran = run([*words, "--metric-percentiles", "50,99"], env=OFFLINE)
        found = json.loads((folder / "result.json").read_text())
        figures = found["p50_ttft_ms"], found["p99_ttft_ms"], found["p50_itl_ms"]
        return _peer(ran, found["completed"], *figures)


class Locust(Peer):
    """Locust's own FastHttpUser, whose client reads the stream by lines."""

    name = "locust"

    def play(self, port: int, users: int, requests: int, folder: Path) -> Reading:
        """Run `stock_locust.py`, which keeps every time itself: Locust's table rounds."""
        words: list[str | Path] = [
            self.bin / "locust",
            "-f",
            HERE / "stock_locust.py",
            "--headless",
        ]
        words += ["--users", str(users), "--spawn-rate", str(users), "--only-summary"]
        words += ["--host", f"http://127.0.0.1:{port}", "--loglevel", "WARNING"]
        said = folder / "said.json"
        ran = run(words, env={"STOCK_REQUESTS": str(requests), "STOCK_OUTPUT": str(said)})
        found = json.loads(said.read_text())
        return _peer(ran, found["requests"], *(found[key] for key in ("p50", "p99", "itl")))


def everyone() -> list[Client]:
    """All clients, the yardstick first."""
    return [Floor(), Floor(500), Ours(), VllmBench(), Locust(), Aiperf(), Guidellm()]


@cache
def _tokenizer() -> str:
    return str(models.ensure(models.TinyModel("vllm", seed=1)).folder)


def _reading(figures: dict[str, Any], cpu_s: float) -> Reading:
    names = ("requests", "ttft_p50_ms", "ttft_p99_ms", "itl_p50_ms")
    return Reading(cpu_s=cpu_s, **{name: figures.pop(name) for name in names}, more=figures)


def _peer(ran: Ran, good: int, p50: float, p99: float, itl: float) -> Reading:
    if not good:
        raise FailedError(f"no good answer:\n{ran.output[-800:]}")
    return Reading(
        requests=good,
        ttft_p50_ms=p50,
        ttft_p99_ms=p99,
        itl_p50_ms=itl,
        cpu_s=ran.cpu_s,
        more={"wall_s": ran.wall_s, "peak_mb": ran.peak_mb},
    )
