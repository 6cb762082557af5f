"""What a load profile is: a name, and the plan it makes of a setting."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Self, get_args

from harness.answer import ask
from harness.load.profiles.text import words
from harness.load.workload.arrival import level_at
from harness.load.workload.prompts import Prompts, completion
from harness.wire import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.load.profiles.exact import Exact
    from harness.load.workload.arrival import Stage

MOST_USERS = 50_000
"""Users of one run at most: above it is a slip of the keyboard."""
MOST_RATE = 100_000.0
"""Requests a second at most, likewise."""
LONGEST_S = 7 * 86_400.0


class Drawn(NamedTuple):
    """A text that is not written yet: for each of ``pieces`` a key it follows from, and tokens."""

    pieces: tuple[tuple[str, int], ...]

    @property
    def tokens(self) -> int:
        """Of all pieces."""
        return sum(tokens for _, tokens in self.pieces)

    @property
    def text(self) -> str:
        """As words that common tokenizers know as one token each."""
        return " ".join(words(key, tokens) for key, tokens in self.pieces)


def draw(key: str, tokens: int) -> Drawn:
    """A text of so many ``tokens`` that follows from ``key``."""
    return Drawn(((key, tokens),))


Text = tuple[str, Drawn | str]
"""Who speaks, and what: a message of the OpenAI dialect."""


class SettingError(ValueError):
    """A setting no load can be made of; the text says which value and what to give instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A name the gateway answers to, and what stands behind it."""

    name: str
    context: int
    """Tokens of prompt and answer together, at most."""
    providers: tuple[str, ...]
    """The engines in the order they are tried."""
    batches: bool = False
    """Whether the first of them answers many requests in one batch over a pool of KV blocks."""
    served_as: str = ""
    """Its name there."""

    @property
    def chained(self) -> bool:
        """Whether another engine answers when the first does not."""
        return len(self.providers) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a run was told. None, or 0 users, leave a value to the profile.

    Raises:
        SettingError: nobody to ask, or a number that is negative, not finite or absurd.
    """

    targets: tuple[Target, ...]
    seed: int = 1
    users: int = 0
    run_time_s: float | None = None
    rate: float | None = None
    """Requests a second of an open loop."""
    capacity: int = 33
    """Full contexts that the engine is said to hold at once."""
    heavy: Literal["prompt", "answer"] = "prompt"
    """Where a full context lies."""
    prompts: Prompts = "words"
    """How the lengths of prompts are kept; see `harness.load.target.Target.prompts`."""
    trace: str | None = None
    """A file of arrivals and lengths to replay, of the Azure (.csv) or Mooncake (.jsonl) format."""
    faster: float = 1.0
    """How much faster than recorded a trace is replayed."""

    def __post_init__(self) -> None:
        if not self.targets:
            raise SettingError("the sources advertise no chat model: there is nobody to ask.")
        _between("users", self.users, 0, MOST_USERS)
        _between("capacity", self.capacity, 1, MOST_USERS)
        if self.prompts not in get_args(Prompts):
            raise SettingError(
                f"prompts is {self.prompts!r}: give one of {', '.join(get_args(Prompts))}."
            )
        _between("faster", self.faster, 1e-3, 1e6)
        if self.run_time_s is not None:
            _between("run_time", self.run_time_s, 1.0, LONGEST_S)
        if self.rate is not None:
            _between("rate", self.rate, 1e-3, MOST_RATE)

    def seconds(self, own: float) -> float:
        """How long the run takes: as told, else ``own``."""
        return own if self.run_time_s is None else self.run_time_s

    @property
    def first_batching(self) -> Target:
        """The target whose capacity is asked for: the first that batches, else the first."""
        return next((target for target in self.targets if target.batches), self.targets[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, before anybody knows where it goes."""

    model: str
    messages: tuple[Text, ...]
    max_tokens: int
    stream: bool = True
    think_s: float = 0.0
    """How long its user thinks before asking."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What its row is to be told by."""

    def request(self, base_url: str, *, key: str | None, exact: Exact | None = None) -> Request:
        """The request to the API at ``base_url``, which ends with ``/v1``.

        ``exact`` writes it in exactly `Exact.tokens` tokens: it must be that of the model.
        """
        if exact is not None and exact.ids:
            prompt, root = exact.draw(self), base_url.removesuffix("/v1")
            headers, stream = dict(ask.bearer(key)), self.stream
            most = self.max_tokens
            return completion(root, self.model, prompt, most, stream=stream, headers=headers)
        texts = exact.texts(self) if exact is not None else map(_text, self.messages)
        said = [
            {"role": role, "content": text}
            for (role, _), text in zip(self.messages, texts, strict=True)
        ]
        body: dict[str, object] = {
            "model": self.model,
            "messages": said,
            "max_tokens": self.max_tokens,
            "temperature": 0,
        }
        if self.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return Request(
            method="POST",
            url=f"{base_url}/chat/completions",
            headers=(("content-type", "application/json"), *ask.bearer(key)),
            body=json.dumps(body).encode(),
        )


def _text(message: Text) -> str:
    content = message[1]
    return content if isinstance(content, str) else content.text


@dataclass(frozen=True, slots=True)
class Break:
    """At ``at_s`` an engine of ours dies, or, with ``revive``, answers again."""

    at_s: float
    provider: str
    revive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run does: the same on every process that makes it of the same setting."""

    stages: tuple[Stage, ...]
    """Users of a closed loop; requests a second where there are ``arrivals``."""
    ask: Callable[[int], Ask]
    """What request number k asks, counted from 0; a pure function."""
    turns: int = 1
    """Numbers of one conversation, which one user plays in turn: c*turns to c*turns + turns-1."""
    arrivals: Callable[[], Iterator[float]] | None = None
    """When requests are due, in seconds from the beginning; None: as soon as a user is free."""
    spawn_per_s: float = 0.0
    """Users that start each second; 0: all within a second."""
    stagger_s: float = 1.0
    """Each user's first request comes at random within it, so that they do not go in step."""
    slo: str = "ttft < 500ms and tpot < 50ms"
    """What a good request keeps; see `harness.load.goodput.objectives`."""
    preset: str | None = None
    """The engine preset that an emulated engine behind a batching target plays."""
    breaks: tuple[Break, ...] = ()

    @property
    def seconds(self) -> float:
        """How long requests are due."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def open(self) -> bool:
        """Whether arrivals come by a schedule, whatever has been answered."""
        return self.arrivals is not None

    @property
    def most(self) -> float:
        """The highest level."""
        return max(max(stage.begin, stage.end) for stage in self.stages)

    def level(self, at_s: float) -> float:
        """The load in force at that moment; the last one afterwards."""
        found = level_at(self.stages, at_s)
        return self.stages[-1].end if found is None else found

    def users(self, at_s: float) -> int | None:
        """Users of a closed loop at that moment; None once it is over."""
        found = level_at(self.stages, at_s)
        return None if found is None else max(1, round(found))

    def step(self, at_s: float) -> int:
        """Which stage it is then, counted from 0."""
        passed = 0.0
        for number, stage in enumerate(self.stages):
            passed += stage.seconds
            if at_s < passed:
                return number
        return len(self.stages) - 1


@dataclass(frozen=True, slots=True)
class Profile:
    """A load with a name. ``plan`` raises SettingError where a setting makes no sense to it."""

    name: str
    about: str
    """One line for lists."""
    plan: Callable[[Setting], Plan]

    @classmethod
    def of(cls, plan: Callable[[Setting], Plan]) -> Self:
        """Name a profile after the function that plans it; its first line says what it is."""
        about = (plan.__doc__ or "").strip().partition("\n")[0]
        return cls(plan.__name__.rstrip("_"), about, plan)


def rotate(targets: Sequence[Target], number: int) -> Target:
    """Each of ``targets`` in turn."""
    return targets[number % len(targets)]


def _between(name: str, value: float, least: float, most: float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise SettingError(f"{name} is {value:g}: give a number from {least:g} to {most:g}.")
