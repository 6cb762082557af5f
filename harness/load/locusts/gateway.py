"""The gateway a run brings along when it was given none."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from harness.load import standing
from harness.load.locusts.clerk import environment
from harness.load.profiles import SettingError
from harness.load.sampling.sampling import Watch
from harness.load.workload.tokenizer import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from harness.load.profiles import Target
    from harness.stack import Tier


class OwnGateway:
    """The real gateway over the engines of a tier, in a child that ends with us.

    Raises:
        SettingError: it did not start; its own message stands above.
    """

    def __init__(self, sources: Path, *, seed: int, preset: str | None, tier: Tier) -> None:
        self.preset, self.tier = preset, tier
        self._child = subprocess.Popen(
            standing.command(sources.resolve(), seed=seed, preset=preset, tier=tier),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
            start_new_session=True,
        )
        try:
            facts = json.loads(self._answer())
        except ValueError:
            self.stop()
            raise SettingError(
                "the gateway did not start; its message stands above. Or give --host."
            ) from None
        self.endpoint: str = facts["endpoint"]
        self.key: str = facts["key"]
        self.kind: str = facts["kind"]
        """What its engines are: emulated, real, or in words which is which."""
        self.behind: str = facts["behind"]
        """Each engine, what it is and its version."""
        self.watches = tuple(Watch(**engine) for engine in facts["engines"])
        """The metrics pages of its engines."""
        self._roots: dict[str, str] = facts["roots"]

    def tokenizer(self, target: Target) -> Tokenizer:
        """That of the engine that answers first to ``target``: the gateway has none."""
        provider = target.providers[0]
        keys = {watch.name: watch.key for watch in self.watches}
        return Tokenizer(self._roots[provider], target.served_as, keys.get(provider))

    def tell(self, order: str, provider: str) -> bool:
        """Have an engine killed or revived; False if the child could not do it."""
        if self._child.stdin is None or self._child.poll() is not None:
            return False
        self._child.stdin.write(json.dumps({order: provider}) + "\n")
        self._child.stdin.flush()
        return '"done"' in self._answer()

    def stop(self) -> None:
        """Stop everything and wait for it."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        self._child.wait()

    def _answer(self) -> str:
        return "" if self._child.stdout is None else self._child.stdout.readline()
