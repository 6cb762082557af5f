"""What an engine is about to send: frames, when each may leave, and how the connection ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.emulator.asking import Ask
    from harness.engines.ledger import Ending

Part = Literal["role", "token", "finish", "usage", "done", "error", "body"]
"""What a frame holds: the opening delta, a token, ``finish_reason``, the usage chunk, the end
marker, a failure told in the stream; or the whole body of an answer that is not streamed."""


@dataclass(slots=True)
class Frame:
    """Bytes that leave in one write: a server-sent event, a line, or a whole body.

    It leaves with token number ``token`` of the answer; ``hold_ns`` delays it and all that follow.
    """

    part: Part
    data: bytes
    token: int = 0
    hold_ns: int = 0


@dataclass(slots=True)
class Answer:
    """One HTTP answer. ``ending`` other than ``whole`` closes the connection after the frames."""

    status: int
    headers: list[tuple[str, str]]
    frames: list[Frame]
    stream: bool = False
    paced: bool = False
    """Frames leave at the times of their tokens, once it is this answer's turn."""
    early_head: bool = False
    """Status line and headers leave before the first frame is due."""
    silent: bool = False
    """Nothing is ever sent."""
    closes: bool = False
    """The server closes the connection after it, as it announces in a header."""
    ending: Ending = "whole"
    faults: list[str] = field(default_factory=list)

    def close(self, how: Literal["fin", "rst"]) -> None:
        """Have the connection end after the frames, in order or by reset."""
        self.ending = how

    def after(self, tokens: int) -> int:
        """Index of the first frame that follows ``tokens`` tokens; -1: not even the opening."""
        if tokens < 0:
            return 0
        for index, frame in enumerate(self.frames):
            if frame.part != "role" and (frame.part != "token" or frame.token >= tokens):
                return index
        return len(self.frames)


@dataclass(frozen=True, slots=True)
class Called:
    """The tool that an answer calls; its arguments are the tokens of the choice."""

    id: str
    name: str


@dataclass(slots=True)
class Choice:
    """One of the answers to a request: its tokens and why they end."""

    tokens: list[str]
    finish: Literal["stop", "length", "tool_calls"]
    stop: str | None = None
    """The stop text that ended it."""
    cut: bool = False
    """The last token lost its end to a stop text."""
    called: Called | None = None

    @property
    def text(self) -> str:
        """What a client that joins all tokens reads."""
        return "".join(self.tokens)


@dataclass(slots=True)
class Reply:
    """What was generated, before a dialect gives it a shape."""

    ask: Ask
    id: str
    created: int
    model: str
    choices: Sequence[Choice]
    prompt_tokens: int
    ttft_ms: float
    itl_ms: float
    number: int = 0
    """Of the request, from 1."""
    usage: bool = True
    """Count tokens for the client."""
    finish: bool = True
    """Tell the client why the answer ended."""
    delay_ns: int = 0

    @property
    def surface(self) -> str:
        """The door it leaves through, see `asking.Surface`."""
        return self.ask.surface

    @property
    def stream(self) -> bool:
        """Whether it is streamed."""
        return self.ask.stream

    @property
    def include_usage(self) -> bool:
        """Whether the stream ends with a count."""
        return self.ask.include_usage

    @property
    def last_token(self) -> int:
        """Number of the last token of the longest choice, at least 0."""
        return max(0, max((len(each.tokens) for each in self.choices), default=0) - 1)

    @property
    def completion_tokens(self) -> int:
        """Tokens over all choices, as in OpenAI's ``usage``."""
        return sum(len(choice.tokens) for choice in self.choices)
