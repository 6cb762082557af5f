"""Batching behind HTTP: the scheduler stepped on the event loop, tokens let go as steps end.

A step is due at an absolute time, the end of the one before plus what the step takes: a loop that
is late for one is not late for the next.
"""

from __future__ import annotations

from collections import deque
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any

from harness.engines.emulator.books import Served
from harness.engines.emulator.pacing import Turns
from harness.engines.scheduler import Sequence, chain_keys
from harness.engines.scheduler.simulate import Front
from harness.engines.scheduler.stepper import Stepper

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator

    from harness.engines.emulator.answer import Reply
    from harness.engines.emulator.books import Books
    from harness.engines.emulator.play import Metronome, Play
    from harness.engines.scheduler import SchedulerConfig, StepPlan
    from harness.engines.scheduler.counters import Gauges
    from harness.engines.spec import BatchingSpec


class Generation:
    """One answer while it is generated: a sequence for each of its choices. A `pacing.Pacing`."""

    __slots__ = ("arrived_s", "over", "parts", "play", "released", "reply")

    def __init__(self, reply: Reply, play: Play, limits: SchedulerConfig, arrived_s: float) -> None:
        self.reply, self.play, self.arrived_s = reply, play, arrived_s
        self.released = 0
        """Tokens that every choice has, or had in all."""
        self.over = False
        """It has been counted."""
        self.parts = [_Part(self, *each) for each in _wanted(reply, limits)]

    def due_ns(self, started_ns: int, token: int) -> int | None:
        """See `pacing.Pacing`: at once, or when the step with this token has ended."""
        return started_ns if token < self.released else None


class _Part(Sequence):
    __slots__ = ("first_s", "generation", "last_s", "scheduled_s", "tokens")

    def __init__(
        self, generation: Generation, prompt: int, length: int, keys: tuple[int, ...]
    ) -> None:
        super().__init__(prompt, length, keys=keys, priority=generation.reply.ask.priority)
        self.generation = generation
        self.tokens = 0
        self.scheduled_s: float | None = None
        self.first_s: float | None = None
        self.last_s = 0.0


class Batch(Turns):
    """Who generates now and who waits, as the scheduler decides."""

    def __init__(
        self,
        spec: BatchingSpec,
        books: Books,
        loop: asyncio.AbstractEventLoop,
        metronome: Metronome,
    ) -> None:
        super().__init__(limit=None)
        self.stepper = Stepper(spec.scheduler, spec.step_time)
        self.late_s = 0.0
        """The latest that the end of a step was handled: more than its length, and the loop does
        not keep up with the engine it plays."""
        self._front = Front.of(spec.step_time)
        self._front_free_s = 0.0
        self._leaving: deque[tuple[float, _Part]] = deque()
        """Tokens on their way through the front, each with the time it leaves."""
        self._books, self._loop, self._metronome = books, loop, metronome
        self._timer: asyncio.TimerHandle | None = None

    @property
    def config(self) -> SchedulerConfig:
        """The limits it works in."""
        return self.stepper.scheduler.config

    @property
    def running(self) -> int:
        """Sequences in the batch."""
        return len(self.stepper.scheduler.running)

    @property
    def waiting(self) -> int:
        """Sequences without a place, the preempted ones included."""
        return self.stepper.waiting

    @property
    def gauges(self) -> Gauges:
        """See `Turns`: as of the end of the last step."""
        return self.stepper.gauges

    def admit(self) -> None:
        """Step if there is work and nothing is computed."""
        self.stepper.scheduler.paused = self.sleep_level is not None
        if self.stepper.end_s is None:
            self._begin(monotonic())

    def sleep(self, level: int) -> None:
        """See `Turns`."""
        super().sleep(level)
        self.stepper.scheduler.paused = True

    def generate(self, reply: Reply, play: Play) -> Generation:
        """Queue ``reply``; ``play`` sends it as its tokens come."""
        generation = Generation(reply, play, self.config, monotonic())
        self._resume(generation, play.begin(generation))
        front = self._front
        if front.request_s or front.delay_s:
            self._front_free_s = max(self._front_free_s, monotonic()) + front.request_s
            self._loop.call_at(self._front_free_s + front.delay_s, self._queue_up, generation)
        else:
            self._queue_up(generation)
        return generation

    def forget(self, generation: Generation) -> None:
        """Its answer is over, or its client is gone: what is not generated never will be."""
        for part in generation.parts:
            self.stepper.abort(part)
        self.admit()  # the empty step that tells of it, if nothing is computed
        if not generation.over:
            whole = all(part.tokens == part.length for part in generation.parts)
            generation.over = True
            finish = generation.reply.choices[0].finish
            self._enter(generation, finish if whole else "abort")

    def stats(self) -> dict[str, Any]:
        """Counters of the moment."""
        scheduler = self.stepper.scheduler
        return {
            "steps": self.stepper.steps,
            "preemptions": scheduler.counters.preemptions,
            "kv_usage": scheduler.kv_usage,
            "prefix_queries": scheduler.counters.prefix_queries,
            "prefix_hits": scheduler.counters.prefix_hits,
            "late_ms": self.late_s * 1000,
        }

    def _queue_up(self, generation: Generation) -> None:
        for part in generation.parts:
            if not part.finished:
                self.stepper.add(part)
        self.admit()

    def _begin(self, now_s: float) -> None:
        stepper = self.stepper
        plan = stepper.begin(now_s)
        if plan is not None:
            self._books.step_tokens.observe(plan.tokens)
            for sequence in plan.admitted:
                part: _Part = sequence  # type: ignore[assignment]  # only parts are added
                if part.scheduled_s is None:
                    part.scheduled_s = monotonic()
        if self._timer is None and stepper.end_s is not None:
            self._timer = self._loop.call_at(stepper.end_s, self._end)

    def _end(self) -> None:
        self._timer = None
        end_s, plan = self.stepper.end()
        self.late_s = max(self.late_s, monotonic() - end_s)
        self._begin(end_s)
        self._release(plan, end_s)

    def _release(self, plan: StepPlan, end_s: float) -> None:
        """Let the tokens of a step go, through the front if it takes its time."""
        token_s = self._front.token_s
        if not token_s:
            for sequence in plan.sampled:
                self._let_go(sequence, end_s)  # type: ignore[arg-type]  # only parts are added
            return
        idle = not self._leaving
        at_s = max(end_s, self._front_free_s)
        for sequence in plan.sampled:
            at_s += token_s
            self._leaving.append((at_s, sequence))  # type: ignore[arg-type]  # likewise
        self._front_free_s = at_s
        if idle and self._leaving:
            self._loop.call_at(self._leaving[0][0], self._drain)

    def _drain(self) -> None:
        leaving = self._leaving
        while leaving and leaving[0][0] <= monotonic():
            at_s, part = leaving.popleft()
            self._let_go(part, at_s)
        if leaving:
            self._loop.call_at(leaving[0][0], self._drain)

    def _let_go(self, part: _Part, at_s: float) -> None:
        self._books.token()
        if part.first_s is None:
            part.first_s = at_s
            if part is part.generation.parts[0]:
                self._books.prompt(part.generation.reply.prompt_tokens, cached=max(0, part.cached))
        else:
            self._books.itl.observe(at_s - part.last_s)
        part.last_s = at_s
        part.tokens += 1
        generation = part.generation
        parts = generation.parts
        if len(parts) == 1:
            generation.released = part.tokens
        else:
            most = max(each.length for each in parts)
            generation.released = min(
                most if each.tokens == each.length else each.tokens for each in parts
            )
        self._resume(generation, generation.play.resume())
        if not generation.over and all(each.tokens == each.length for each in parts):
            generation.over = True
            self._enter(generation, generation.reply.choices[0].finish)

    def _resume(self, generation: Generation, due_ns: int | None) -> None:
        if due_ns is not None:
            self._metronome.at(max(due_ns, monotonic_ns()), generation.play)

    def _enter(self, generation: Generation, finish: str) -> None:
        parts, reply = generation.parts, generation.reply
        firsts = [part.first_s for part in parts if part.first_s is not None]
        self._books.enter(
            Served(
                prompt_tokens=reply.prompt_tokens,
                tokens=sum(part.tokens for part in parts),
                finish=finish,
                arrived_s=generation.arrived_s,
                scheduled_s=parts[0].scheduled_s or generation.arrived_s,
                first_s=min(firsts) if firsts else None,
                last_s=max(part.last_s for part in parts),
                preemptions=sum(part.preemptions for part in parts),
                cached_tokens=max(0, parts[0].cached),
                max_tokens=reply.ask.max_tokens,
                choices=reply.ask.choices,
                counted=True,
            )
        )


def _wanted(reply: Reply, limits: SchedulerConfig) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Prompt tokens, answer tokens and block keys of every choice of ``reply``.

    A dialect has refused what does not fit the context; a template may still add some tokens.
    """
    ask = reply.ask
    prompts = ask.prompts or (ask.prompt,)
    words = [list(_words(prompt)) for prompt in prompts]
    alone = len(prompts) == 1
    for index, choice in enumerate(reply.choices):
        text = words[index // ask.choices]
        prompt_tokens = reply.prompt_tokens if alone else max(1, len(text))
        prompt_tokens = min(prompt_tokens, limits.max_model_len - 1)
        whole = [*text[:prompt_tokens], *(token.strip() for token in choice.tokens)]
        yield prompt_tokens, max(1, len(choice.tokens)), chain_keys(whole, limits.block_size)


def _words(value: Any) -> Iterator[str]:
    """The words of a prompt or of messages, as `tokens.count_words` counts them."""
    if isinstance(value, str):
        yield from value.split()
    elif isinstance(value, int):
        yield str(value)
    elif isinstance(value, dict):
        yield from _words(value.get("content") or value.get("text"))
    elif isinstance(value, list):
        for each in value:
            yield from _words(each)
