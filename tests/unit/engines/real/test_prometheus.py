from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from harness.engines.real.prometheus import CONFIG, Prometheus, Target
from harness.process.child import ProcessError

KEY = "sk-canary-key"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memfd_create is Linux's")
def test_a_key_is_readable_by_path_while_it_runs_and_stands_in_no_file(tmp_path: Path) -> None:
    server = Prometheus(
        executable=Path("/bin/false"),
        directory=tmp_path,
        targets=[
            Target(name="engine", url="http://127.0.0.1:8080/metrics", key=KEY),
            Target(name="gateway", url="http://127.0.0.1:4000/metrics/"),
        ],
    )

    async def story() -> str:
        await server.start()
        written = json.loads(await asyncio.to_thread((server.home / CONFIG).read_text))
        engine, gateway = written["scrape_configs"]
        assert engine["static_configs"] == [{"targets": ["127.0.0.1:8080"]}]
        assert gateway["metrics_path"] == "/metrics/"
        assert "authorization" not in gateway
        path: str = engine["authorization"]["credentials_file"]
        assert await asyncio.to_thread(Path(path).read_text) == KEY
        with pytest.raises(ProcessError, match="ended with exit code 1 before it was ready"):
            await server.ready()
        await server.stop()
        return path

    path = asyncio.run(story())
    assert not Path(path).exists()
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or KEY not in file.read_text()
