from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness import answer as answers
from harness.behaviour.live import (
    EXPLAINED,
    Endpoint,
    endpoints_of,
    judge_catalogue,
    judge_health,
    judge_served,
    live_phase,
    observe_live,
)
from harness.engines.emulated import EmulatedEngine
from harness.engines.spec import EmulatorSpec, ServedModel
from harness.evidence import Evidence, Verdict
from harness.process.ports import Reservation
from harness.registry import Registry, load
from harness.registry.models import Health
from harness.routing import listed, resident
from harness.wire import Exchange, RecordingClient, Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.answer import Answer

Recorded = Callable[..., Exchange]
PROBE = Health(path="/health", timeout_s=2)


@pytest.fixture(scope="module")
def shipped() -> Registry:
    return load(Path(__file__).parents[3] / "config")


@pytest.fixture
def listing(recorded: Recorded) -> Callable[..., Answer]:
    """An answer of ``/v1/models`` with these ids."""

    def build(*ids: str, status: int = 200) -> Answer:
        body = json.dumps({"object": "list", "data": [{"id": name} for name in ids]}).encode()
        return answers.read(recorded(status, body, path="/v1/models"))

    return build


def served(registry: Registry, catalogue: Answer, provider: str = "vllm", model: int = 0) -> Any:
    it = registry.provider(provider)
    return judge_served(f"{provider}:x", it, it.models[model], catalogue)


def test_a_listed_model_passes(shipped: Registry, listing: Callable[..., Answer]) -> None:
    assert served(shipped, listing("workspace-coder")).verdict is Verdict.PASS


@pytest.mark.parametrize("others", [(), ("workspace-dolphin",)])
def test_a_model_listed_under_another_name_fails_and_the_name_is_proposed(
    shipped: Registry, listing: Callable[..., Answer], others: tuple[str, ...]
) -> None:
    provider = shipped.provider("vllm")
    wrong = provider.models[0].model_copy(
        update={"served_as": "Qwen/Qwen2.5-Coder-7B-Instruct-AWQ"}
    )
    found = judge_served("vllm", provider, wrong, listing("workspace-coder", *others))
    assert found.verdict is Verdict.FAIL
    assert "Did you mean served_as: workspace-coder?" in found.reason


def test_a_model_nothing_resembles_gets_no_wrong_advice(
    shipped: Registry, listing: Callable[..., Answer]
) -> None:
    found = served(shipped, listing("alpha", "omega"))
    assert found.verdict is Verdict.FAIL
    assert "Did you mean" not in found.reason


def test_a_model_loaded_by_hand_may_be_absent(
    shipped: Registry, listing: Callable[..., Answer]
) -> None:
    found = served(shipped, listing("workspace-coder"), model=1)
    assert found.verdict is Verdict.NOT_RUN
    assert "loaded by hand" in found.reason


@pytest.mark.parametrize("status", [401, 404, 500])
def test_no_list_is_no_pass(shipped: Registry, listing: Callable[..., Answer], status: int) -> None:
    assert served(shipped, listing("workspace-coder", status=status)).verdict is Verdict.FAIL


def test_ollama_takes_a_name_without_a_tag_for_latest(
    shipped: Registry, listing: Callable[..., Answer]
) -> None:
    provider = shipped.provider("ollama")
    bare = provider.models[0].model_copy(update={"served_as": "llama3.1"})
    found = judge_served("ollama", provider, bare, listing("llama3.1:latest"))
    assert found.verdict is Verdict.PASS


def test_three_sets_that_agree_pass_and_are_counted(
    shipped: Registry, listing: Callable[..., Answer]
) -> None:
    found = judge_catalogue(shipped, listing(*listed(shipped)))
    assert found.verdict is Verdict.PASS
    assert f"{len(listed(shipped))} routed" in str(found.value)


def test_each_difference_between_the_sets_is_named(
    shipped: Registry, listing: Callable[..., Answer]
) -> None:
    names = [name for name in listed(shipped) if name != "qwen-coder-vllm"]
    found = judge_catalogue(shipped, listing(*names, "ghost"))
    assert found.verdict is Verdict.FAIL
    assert "advertised and not routed: ghost" in found.reason
    assert "public and not advertised: qwen-coder-vllm" in found.reason


def test_a_pattern_in_the_list_stands_for_its_matches(
    shipped: Registry, listing: Callable[..., Answer]
) -> None:
    found = judge_catalogue(shipped, listing(*listed(shipped), "gpt-3.5*"))
    assert found.verdict is Verdict.PASS


def test_without_a_list_of_the_gateway_nothing_is_proven(
    shipped: Registry, listing: Callable[..., Answer]
) -> None:
    assert judge_catalogue(shipped, listing(status=500)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("status", "serves", "verdict"),
    [
        (200, True, Verdict.PASS),
        (200, False, Verdict.FAIL),
        (503, True, Verdict.FAIL),
        (503, False, Verdict.PASS),
    ],
)
def test_health_and_a_request_must_agree(
    recorded: Recorded,
    said: Callable[[str], Answer],
    failed: Callable[[int], Answer],
    status: int,
    serves: bool,
    verdict: Verdict,
) -> None:
    got = said("hello") if serves else failed(404)
    assert judge_health("vllm", PROBE, recorded(status), got).verdict is verdict


def test_every_check_is_explained() -> None:
    assert set(EXPLAINED) == {"live.served", "live.catalogue", "live.health"}


def observed(registry: Registry, renamed: Mapping[str, str]) -> list[Evidence]:
    """What is seen of one engine per provider, some models under another id than configured."""

    async def main() -> list[Evidence]:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(RecordingClient())
            at = {}
            for name, provider in registry.enabled_providers().items():
                spec = EmulatorSpec(
                    id=name,
                    dialect=provider.type,
                    models=tuple(
                        ServedModel(renamed.get(model.served_as, model.served_as))
                        for model in provider.models
                        if resident(provider, model)
                    ),
                    api_key="sk-live" if provider.api_key else None,
                )
                engine = await stack.enter_async_context(EmulatedEngine(spec))
                at[name] = Endpoint(url=engine.endpoint, key=spec.api_key)

            async def send(request: Request, labels: Mapping[str, str]) -> Exchange:
                return await client.send(request, labels=labels)

            return [evidence async for evidence in observe_live(registry, send, at)]

    return asyncio.run(main())


def failing(found: list[Evidence]) -> set[tuple[str, str]]:
    return {(one.check, one.subject) for one in found if one.verdict is Verdict.FAIL}


def test_servers_that_are_as_configured_pass(shipped: Registry) -> None:
    found = observed(shipped, {})
    assert not failing(found)
    subjects = {one.subject for one in found if one.check == "live.served"}
    assert subjects == {
        f"{name}:{model.served_as}"
        for name, provider in shipped.enabled_providers().items()
        for model in provider.models
    }
    assert {one.check for one in found} == {"live.served", "live.health"}


def test_a_server_that_serves_under_another_name_is_found(shipped: Registry) -> None:
    found = observed(shipped, {"workspace-coder": "Qwen/Qwen2.5-Coder-7B-Instruct-AWQ"})
    subject = "vllm:workspace-coder"
    assert failing(found) == {("live.served", subject), ("live.health", subject)}


def test_where_nobody_listens_the_model_is_not_served(shipped: Registry) -> None:
    async def main() -> list[Evidence]:
        async with RecordingClient() as client:

            async def send(request: Request, labels: Mapping[str, str]) -> Exchange:
                return await client.send(request, labels=labels)

            with Reservation() as nobody:
                at = {"vllm": Endpoint(url=f"http://127.0.0.1:{nobody.port}")}
                return [evidence async for evidence in observe_live(shipped, send, at)]

    found = asyncio.run(main())
    assert ("live.served", "vllm:workspace-coder") in failing(found)


def test_endpoints_are_those_of_the_sources_with_their_keys(shipped: Registry) -> None:
    at = endpoints_of(shipped, {"VLLM_API_KEY": "sk-1"})
    assert set(at) == set(shipped.enabled_providers())
    assert at["vllm"] == Endpoint(url=shipped.origin("vllm"), key="sk-1")
    assert "sk-1" not in repr(at)


def test_the_phase_asks_every_engine_and_the_gateway(shipped: Registry) -> None:
    """A stack-like object is enough: here one engine plays the gateway too."""

    async def main() -> list[Evidence]:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(RecordingClient())
            names = tuple(ServedModel(name) for name in listed(shipped))
            gateway = await stack.enter_async_context(
                EmulatedEngine(EmulatorSpec(id="door", dialect="openai", models=names))
            )
            engine = await stack.enter_async_context(
                EmulatedEngine(
                    EmulatorSpec(
                        id="vllm",
                        dialect="vllm",
                        models=(ServedModel("workspace-coder"),),
                        api_key="sk-v",
                    )
                )
            )

            async def send(request: Request, **labels: str) -> Exchange:
                return await client.send(request, labels=labels)

            whole = SimpleNamespace(
                registry=shipped,
                secrets={"VLLM_API_KEY": "sk-v"},
                engines={"vllm": engine},
                gateway=SimpleNamespace(endpoint=gateway.endpoint, key="sk-any"),
                send=send,
            )
            return [one async for one in live_phase(SimpleNamespace(stack=whole))]  # type: ignore[arg-type]

    found = asyncio.run(main())
    assert {one.check for one in found} == {"live.served", "live.health", "live.catalogue"}
    assert not failing(found)
