"""What the real ``litellm.Router`` does with a configuration, asked in JSON lines.

Runs under the interpreter of LiteLLM's own environment, needs nothing else, and opens no
socket: ``litellm.acompletion``, the call to the upstream server, is replaced by one that notes
the deployment the Router picked and fails where the question says so. Everything before and
after it is LiteLLM's: aliases, wildcards, weights, order, fallbacks and their nesting.

A line in::

    {"model_list": [...], "router_settings": {...},
     "ask": [{"name": "coder", "dead": {"coder@vllm": 500}, "tokens": 3000, "times": 1}]}

A line out, one answer a question and one attempt list a time::

    {"answers": [[{"tried": ["coder@vllm", "spare@ollama"], "by": "spare@ollama", "error": ""}]],
     "inferred": ["openai"]}

``inferred`` is the provider LiteLLM guesses from each name alone, which its wildcards use. With
``"seconds": true`` a question is answered by how long a call took to find its deployment, and one
that only lists those of the group.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sys
import time
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # read at import: no look-up on the network

import litellm
from litellm import exceptions
from litellm.litellm_core_utils.get_llm_provider_logic import inferred_provider

logging.disable(logging.CRITICAL)

MESSAGES = [{"role": "user", "content": "hello"}]
FAULTS = {
    400: exceptions.BadRequestError,
    401: exceptions.AuthenticationError,
    404: exceptions.NotFoundError,
    408: exceptions.Timeout,
    429: exceptions.RateLimitError,
    500: exceptions.InternalServerError,
    503: exceptions.ServiceUnavailableError,
}


class Upstreams:
    """All model servers at once: some dead, each call noted by the deployment it was meant for."""

    def __init__(self) -> None:
        self.dead: dict[str, int] = {}
        self.tried: list[str] = []

    async def acompletion(self, **request: Any) -> litellm.ModelResponse:
        """Answer, or fail as the deployment should."""
        deployment = request["model_info"]["id"]
        self.tried.append(deployment)
        if deployment in self.dead:
            fault = FAULTS[self.dead[deployment]]
            raise fault(message="it is dead", model=request["model"], llm_provider="openai")
        return litellm.ModelResponse()


async def ask(
    router: litellm.Router, upstreams: Upstreams, question: dict[str, Any]
) -> list[dict[str, Any]]:
    """The attempts of each time the question is put."""
    answers = []
    prompt = [{"role": "user", "content": " hello" * question.get("tokens", 1)}]
    for _ in range(question.get("times", 1)):
        upstreams.tried, upstreams.dead = [], question.get("dead", {})
        error = ""
        try:
            await router.acompletion(model=question["name"], messages=prompt)
        except Exception as failure:  # noqa: BLE001  whatever it raises is the answer
            error = type(failure).__name__
        by = upstreams.tried[-1] if not error else None
        answers.append({"tried": upstreams.tried, "by": by, "error": error})
    return answers


async def clock(router: litellm.Router, question: dict[str, Any]) -> dict[str, float]:
    """Seconds one call takes, over ``times`` calls: to find a deployment, to list a group's."""
    times = question["times"]
    started = time.perf_counter()
    for _ in range(times):
        await router.async_get_available_deployment(
            model=question["name"], messages=MESSAGES, request_kwargs={}
        )
    found = time.perf_counter()
    for _ in range(times):
        router.get_model_list(model_name=question["name"])
    listed = time.perf_counter()
    return {"find": (found - started) / times, "list": (listed - found) / times}


async def main() -> None:
    """Answer every line until there is none."""
    upstreams = Upstreams()
    litellm.acompletion = upstreams.acompletion
    for line in sys.stdin:
        asked = json.loads(line)
        random.seed(0)  # the picks by weight: the same questions, the same answers
        router = litellm.Router(model_list=asked["model_list"], **asked["router_settings"])
        answers = [
            await (clock(router, each) if each.get("seconds") else ask(router, upstreams, each))
            for each in asked["ask"]
        ]
        router.discard()
        inferred = [inferred_provider(each["name"]) for each in asked["ask"]]
        sys.stdout.write(json.dumps({"answers": answers, "inferred": inferred}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
