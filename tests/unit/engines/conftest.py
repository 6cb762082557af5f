from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from harness.engines.emulator.server import Emulator
from harness.engines.ledger import LedgerEntry
from harness.engines.spec import EmulatorSpec, ServedModel, Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "say hi"}]


def make_spec(**given: Any) -> EmulatorSpec:
    pace = {"ttft_ms": 0, "itl_ms": 0}
    settings = Settings(**{**pace, **given.pop("settings", {})})
    told: dict[str, Any] = {
        "id": "engine-a",
        "dialect": "openai",
        "models": (ServedModel("small", 64), ServedModel("large", 4096)),
        "seed": 7,
        "created": 1_700_000_000,
        **given,
    }
    return EmulatorSpec(settings=settings, **told)


def post(path: str, body: Any, *headers: str, close: bool = True) -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "host: engine", f"content-length: {len(data)}", *headers]
    if close:
        lines.append("connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


def get(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "host: engine", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@dataclass
class Answered:
    """What a plain socket received, all of it, and how it ended."""

    raw: bytes
    reset: bool = False

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    @property
    def body(self) -> bytes:
        """The body, its chunked coding undone; what is missing of the last chunk stays missing."""
        data = self.raw.partition(b"\r\n\r\n")[2]
        if "transfer-encoding: chunked" not in self.head.lower():
            return data
        out = b""
        while data:
            size, _, rest = data.partition(b"\r\n")
            out += rest[: int(size, 16)]
            data = rest[int(size, 16) + 2 :]
        return out

    @property
    def whole(self) -> bool:
        """The end that its framing announced has arrived."""
        if "transfer-encoding: chunked" in self.head.lower():
            return self.raw.endswith(b"0\r\n\r\n")
        lengths = [x for x in self.head.lower().split("\r\n") if x.startswith("content-length:")]
        return bool(lengths) and len(self.body) == int(lengths[0].split(":")[1])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        blocks = self.body.decode().split("\n\n")
        return [block.removeprefix("data: ") for block in blocks if block]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return [json.loads(event) for event in self.events if event != "[DONE]"]

    @property
    def text(self) -> str:
        pieces = (c["choices"][0] for c in self.chunks if c.get("choices"))
        return "".join(p.get("delta", {}).get("content") or p.get("text", "") for p in pieces)


async def talk(port: int, request: bytes) -> Answered:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = Answered(b"")
    try:
        writer.write(request)
        while data := await reader.read(65536):
            answered.raw += data
    except ConnectionResetError:
        answered.reset = True
    finally:
        writer.close()
    return answered


def entries(emulator: Emulator) -> list[LedgerEntry]:
    wires = [json.loads(json.dumps(record.to_wire())) for record in emulator.records]
    return [LedgerEntry.from_wire(wire) for wire in wires]


@dataclass
class Lab:
    """An emulator in this process, and a plain socket to talk to it."""

    emulator: Emulator

    @property
    def port(self) -> int:
        return self.emulator.port

    async def ask(self, request: bytes) -> Answered:
        return await talk(self.port, request)

    async def chat(self, *headers: str, path: str = CHAT, **body: Any) -> Answered:
        asked = {"model": "large", "messages": HI, **body}
        return await self.ask(post(path, asked, *headers))

    def ledger(self) -> list[LedgerEntry]:
        return entries(self.emulator)

    async def until(self, holds: Callable[[], Any]) -> None:
        """Waits for what the loop is about to do; patience only keeps a failure from hanging."""
        patience = 30_000
        while not holds():
            patience -= 1
            assert patience, "it never came to hold"
            await asyncio.sleep(0.001)


def in_lab(scenario: Callable[[Lab], Awaitable[T]], **given: Any) -> T:
    async def main() -> T:
        emulator = Emulator(make_spec(**given))
        emulator.up()
        try:
            return await scenario(Lab(emulator))
        finally:
            emulator.down()

    return asyncio.run(main())


class Tools:
    spec = staticmethod(make_spec)
    post = staticmethod(post)
    get = staticmethod(get)
    run = staticmethod(in_lab)
    talk = staticmethod(talk)
    hi = HI
    chat_path = CHAT


@pytest.fixture
def lab() -> type[Tools]:
    return Tools
