"""Smoke: streamed chats through the gateway, each judged whole or failed.

Without ``--host`` the run brings its own gateway over emulated engines and stops it
at the end. With ``--host`` the key comes from ``--gateway-key`` or, better, from the
environment variable that the configuration names for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

from locust import User, between, events, task
from locust.runners import WorkerRunner

from harness import answer as answers
from harness.answer import ask
from harness.load.timing import timing
from harness.registry import load
from harness.wire.blocking import exchange

CONFIG = Path(__file__).parents[1] / "config"
REGISTRY = load(CONFIG)
NUMBERS = count(1)
TIMEOUT_S = 60.0


class BrokenAnswerError(Exception):
    """An answer that is not whole; the text says what is missing."""


class ChatUser(User):
    """A person who asks the public models in turn and reads every answer to its end."""

    wait_time = between(0.1, 0.5)

    @task
    def streamed_chat(self) -> None:
        """Ask for a stream; report its time to first token and its whole time apart."""
        number = next(NUMBERS)
        model = REGISTRY.public_models[number % len(REGISTRY.public_models)]
        request = ask.chat(
            f"{self.host}/v1",
            model=model,
            content=f"smoke {os.getpid()} {number}",
            key=self.environment.parsed_options.gateway_key,
            stream=True,
            max_tokens=16,
        )
        answer = answers.read(exchange(request, timeout_s=TIMEOUT_S))
        timed = timing(answer)
        broken = None if timed else BrokenAnswerError(answer.wholeness.why)
        size = len(answer.response.body)
        self._report("E2E", model, timed.e2e_ms if timed else 0.0, size, broken)
        if timed is not None:
            self._report("TTFT", model, timed.ttft_ms, size, None)

    def _report(
        self, phase: str, model: str, milliseconds: float, size: int, broken: Exception | None
    ) -> None:
        self.environment.events.request.fire(
            request_type=phase,
            name=model,
            response_time=milliseconds,
            response_length=size,
            exception=broken,
            context={},
        )


def _options(parser: Any, **_: Any) -> None:
    parser.set_defaults(web_host="127.0.0.1")  # Locust's own default is every interface
    parser.add_argument(
        "--gateway-key",
        env_var=REGISTRY.gateway.master_key.env,
        default="",
        include_in_web_ui=False,
        help="Key of the gateway at --host",
    )


def _bring_own_gateway(environment: Any, **_: Any) -> None:
    if environment.host or isinstance(environment.runner, WorkerRunner):
        return
    own = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "up", "--json", "--attached", "--config", CONFIG],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    told, lifeline = own.stdout, own.stdin
    if told is None or lifeline is None:
        raise RuntimeError("the pipes that were asked for are missing")
    printed = ""
    for line in told:
        printed += line
        if line.startswith("}"):
            break
    try:
        facts = json.loads(printed)
    except ValueError:
        sys.exit("The gateway did not start; its message stands above. Or give --host.")
    environment.host = facts["endpoint"]
    environment.parsed_options.gateway_key = facts["key"]

    def stop(**_: Any) -> None:
        lifeline.close()
        own.wait()

    environment.events.quitting.add_listener(stop)


events.init_command_line_parser.add_listener(_options)  # type: ignore[no-untyped-call]
events.init.add_listener(_bring_own_gateway)  # type: ignore[no-untyped-call]
