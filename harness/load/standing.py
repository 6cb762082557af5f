"""A gateway of our own for a load to stand on, held by a child process.

The child runs this module and talks in lines of JSON: where the gateway is, what its engines are,
their API roots and metrics pages, once it answers, and then what it is told on standard input:
``{"kill": provider}`` and ``{"revive": provider}``. It ends, and everything with it, when
standard input ends, which it does with whoever started it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.emulated import EmulatedEngine
from harness.engines.engine import EngineError
from harness.engines.spec import BatchingSpec, SpecError
from harness.gateway.base import GatewayError
from harness.load.sampling.sampling import Watch
from harness.process.child import ProcessError
from harness.process.ports import PortTaken
from harness.registry import RegistryError, load
from harness.stack import TIERS, Stack, in_words, require
from harness.stack.fleet import Fleet
from harness.wire import RecordingClient

if TYPE_CHECKING:
    from harness.engines.engine import LocalEngine
    from harness.stack import Tier

_BATCHING = "vllm"
_FORGET_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingFleet(Fleet):
    """The usual fleet, whose emulated vLLM generates in batches as ``preset`` would."""

    preset: str

    async def engine(self, provider_id: str) -> LocalEngine:
        """The engine of one provider, not started."""
        made = await Fleet.engine(self, provider_id)
        if not (
            isinstance(made, EmulatedEngine)
            and self.registry.provider(provider_id).type == _BATCHING
        ):
            return made
        batching = BatchingSpec.preset(self.preset)
        return EmulatedEngine(
            replace(made.spec, batching=batching), log=self.directory / "vllm.log"
        )


def command(config: Path, *, seed: int, preset: str | None, tier: Tier) -> list[str]:
    """What starts the child."""
    told = [sys.executable, "-m", "harness.load.standing", f"--config={config}", f"--seed={seed}"]
    return [*told, f"--engines={tier}", *([f"--preset={preset}"] if preset else [])]


async def hold(config: Path, *, seed: int, preset: str | None, tier: Tier) -> None:
    """Start it, say where it is, and do as told until standard input ends."""
    registry = load(config)
    require(registry, tier)
    with tempfile.TemporaryDirectory(prefix="harness-load-") as folder:
        async with RecordingClient() as client:
            stack = Stack(registry, client=client, directory=Path(folder), seed=seed, tier=tier)
            if preset is not None:
                stack.fleet = BatchingFleet(
                    registry=registry,
                    tier=stack.fleet.tier,
                    seed=seed,
                    secrets=stack.secrets,
                    directory=Path(folder),
                    preset=preset,
                )
            async with stack:
                _tell(
                    {
                        "endpoint": stack.gateway.endpoint,
                        "key": stack.gateway.key,
                        "kind": in_words({n: each.kind for n, each in stack.engines.items()}),
                        "behind": ", ".join(
                            f"{name}: {each.kind}, {each.version}"
                            for name, each in stack.engines.items()
                        ),
                        "engines": [asdict(watch) for watch in watches(stack)],
                        "roots": roots(stack),
                    }
                )
                forgetting = asyncio.create_task(_forget(stack))
                try:
                    loop = asyncio.get_running_loop()
                    while line := await loop.run_in_executor(None, sys.stdin.readline):
                        await _obey(stack, json.loads(line))
                finally:
                    forgetting.cancel()


def watches(stack: Stack) -> list[Watch]:
    """The metrics pages of the engines of ``stack``, by provider id, with the keys they want."""
    found = []
    for name, engine in stack.engines.items():
        key = stack.registry.provider(name).api_key
        found.append(Watch.of(engine, key=stack.secrets[key.env] if key else None))
    return found


def roots(stack: Stack) -> dict[str, str]:
    """The API root of each engine of ``stack``, by provider id."""
    return {
        name: engine.endpoint + stack.registry.provider(name).api_path
        for name, engine in stack.engines.items()
    }


async def _forget(stack: Stack) -> None:
    """Keep the memory of emulated engines flat: nobody asks for their ledgers here."""
    while True:
        await asyncio.sleep(_FORGET_S)
        for engine in stack.engines.values():
            if isinstance(engine, EmulatedEngine):
                with suppress(EngineError, ProcessError):  # it is being stopped
                    await engine.forget()


async def _obey(stack: Stack, order: dict[str, str]) -> None:
    match order:
        case {"kill": provider}:
            await stack.kill(provider)
        case {"revive": provider}:
            await stack.revive(provider)
        case _:
            _tell({"error": f"nobody knows how to {', '.join(order)}"})
            return
    _tell({"done": order})


def _tell(facts: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the arguments and hold the gateway; exit code 1 and a text where it cannot be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--preset")
    parser.add_argument("--engines", choices=TIERS, default=TIERS[0])
    told = parser.parse_args()
    try:
        asyncio.run(hold(told.config, seed=told.seed, preset=told.preset, tier=told.engines))
    except RegistryError as error:
        sys.exit("\n".join(str(finding) for finding in error.findings))
    except (GatewayError, EngineError, ProcessError, PortTaken, SpecError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
