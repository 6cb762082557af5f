"""The profiles that come with the harness; one of your own is a file in ``loadtests/``."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.load.profiles.profile import (
    Ask,
    Break,
    Drawn,
    Plan,
    Profile,
    Setting,
    SettingError,
    Target,
    draw,
    rotate,
)
from harness.load.workload import trace
from harness.load.workload.arrival import bursts, poisson, ramp, staircase, steady
from harness.load.workload.conversations import Conversations, Lengths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.load.workload.trace import Traced

_SHORT = Lengths(16, spread=0.4, least=4, most=48)
_CHAT = Lengths(32, spread=0.5, least=8, most=96)
_PRESET = "rtx-5000"
_FULL = 4096
"""Tokens of a full request, as the claim counts them."""


def _chat(setting: Setting, fresh: Lengths, answer: Lengths) -> Callable[[int], Ask]:
    """Independent requests to all targets in turn, with lengths that vary."""
    lengths = Conversations(fresh=fresh, answer=answer, seed=setting.seed)

    def make(number: int) -> Ask:
        asking = lengths.asking(number)
        key = f"{setting.seed}/{number}"
        return Ask(
            model=rotate(setting.targets, number).name,
            messages=(("user", draw(key, asking.fresh_tokens)),),
            max_tokens=asking.answer_tokens,
        )

    return make


def smoke(setting: Setting) -> Plan:
    """A few users ask every public model in turn, briefly: does it work at all?"""
    return Plan(
        stages=steady(setting.users or 4, setting.seconds(15)),
        ask=_chat(setting, _CHAT, _SHORT),
    )


def staircase_(setting: Setting) -> Plan:
    """Concurrency 1, 2, 4 ... to past the capacity of the engine, held at every step."""
    target = setting.first_batching
    top = setting.users or round(1.5 * setting.capacity)
    levels = sorted({*(2**power for power in range(16) if 2**power < top), top, setting.capacity})
    levels = [level for level in levels if level <= top]
    hold_s = setting.seconds(20.0 * len(levels)) / len(levels)
    lengths = Conversations(
        fresh=Lengths(128, spread=0.5, least=16, most=512),
        answer=Lengths(64, spread=0.5, least=16, most=256),
        seed=setting.seed,
        limit=target.context,
    )

    def make(number: int) -> Ask:
        asking = lengths.asking(number)
        key = f"{setting.seed}/{number}"
        return Ask(
            model=target.name,
            messages=(("user", draw(key, asking.fresh_tokens)),),
            max_tokens=asking.answer_tokens,
        )

    return Plan(stages=staircase(levels, hold_s), ask=make, preset=_PRESET)


def capacity_4096(setting: Setting) -> Plan:
    """Requests of 4,096 tokens below, at and above the concurrency the engine claims."""
    target = setting.first_batching
    full = min(_FULL, target.context)
    prompt = full * 7 // 8 if setting.heavy == "prompt" else full // 8
    around = {round(setting.capacity * share) for share in (0.9, 1.0, 1.2)}
    levels = sorted(max(1, level) for level in around | {setting.capacity + 1})
    if setting.users:
        levels = [setting.users]

    def make(number: int) -> Ask:
        return Ask(
            model=target.name,
            messages=(("user", draw(f"{setting.seed}/{number}", prompt)),),
            max_tokens=full - prompt,
        )

    return Plan(
        stages=staircase(levels, setting.seconds(90.0 * len(levels)) / len(levels)),
        ask=make,
        preset=_PRESET,
        spawn_per_s=4.0,  # together they would queue for their prompts, which is another question
        slo="tpot < 500ms",
    )


def burst(setting: Setting) -> Plan:
    """Quiet, then many at once, and again: what does a burst do to those who were there?"""
    peak = setting.users or 32
    every_s = setting.seconds(60) / 4
    return Plan(
        stages=bursts(max(1, peak // 16), peak, every_s=every_s, lasting_s=every_s / 3, times=4),
        ask=_chat(setting, _CHAT, _CHAT),
        stagger_s=0.0,
    )


def ramp_(setting: Setting) -> Plan:
    """From one user to many in a straight line, and held there."""
    seconds = setting.seconds(75)
    stages = ramp(1, setting.users or 32, 0.8 * seconds, hold_s=0.2 * seconds)
    return Plan(stages=stages, ask=_chat(setting, _CHAT, _CHAT))


def soak(setting: Setting) -> Plan:
    """One load for a long time: does anything grow, leak or slow down?"""
    return Plan(
        stages=steady(setting.users or 16, setting.seconds(600)),
        ask=_chat(setting, _CHAT, _CHAT),
    )


def open_loop(setting: Setting) -> Plan:
    """Poisson arrivals, or a trace, whatever has been answered: what users on their own do."""
    if setting.trace is not None:
        return _replay(setting, setting.trace)
    stages = steady(setting.rate or 5.0, setting.seconds(60))
    return Plan(
        stages=stages,
        ask=_chat(setting, _CHAT, _CHAT),
        arrivals=lambda: poisson(stages, seed=setting.seed),
    )


def cache(setting: Setting) -> Plan:
    """Conversations that build up over a few shared beginnings: what does a prefix cache save?"""
    talks = Conversations(
        fresh=Lengths(32, spread=0.4, least=8, most=96),
        answer=Lengths(24, spread=0.4, least=8, most=64),
        turns=4,
        prefixes=4,
        shared_tokens=512,
        think_s=0.5,
        limit=min(target.context for target in setting.targets),
        seed=setting.seed,
    )

    def make(number: int) -> Ask:
        asking = talks.asking(number)
        shared = draw(f"{setting.seed}/prefix/{asking.prefix}", asking.shared_tokens)
        said = []
        for turn in range(asking.turn):  # earlier answers are of our making: none is parsed now
            earlier = talks.asking(number - asking.turn + turn)
            own = f"{setting.seed}/{asking.conversation}/{turn}"
            said.append(("user", draw(own, earlier.fresh_tokens)))
            said.append(("assistant", draw(f"{own}/answer", earlier.answer_tokens)))
        while sum(text.tokens for _, text in said) > asking.history_tokens:
            del said[:2]  # it has outgrown the model
        own = f"{setting.seed}/{asking.conversation}/{asking.turn}"
        messages = [("system", shared), *said, ("user", draw(own, asking.fresh_tokens))]
        return Ask(
            model=rotate(setting.targets, asking.conversation).name,
            messages=tuple(messages),
            max_tokens=asking.answer_tokens,
            think_s=asking.think_s,
            labels={"turn": str(asking.turn)},
        )

    return Plan(
        stages=steady(setting.users or 8, setting.seconds(60)),
        ask=make,
        turns=talks.turns,
        preset=_PRESET,
    )


def fallback(setting: Setting) -> Plan:
    """A steady load on names with a chain while their first engine dies and comes back."""
    chained = [target for target in setting.targets if target.chained]
    if not chained:
        raise SettingError(
            "no public model has a fallback chain: there is nothing to fall back to. Name a chain "
            "in model-mappings.yaml, or choose another profile."
        )
    seconds = setting.seconds(45)
    first = chained[0].providers[0]
    asked = tuple(target for target in chained if target.providers[0] == first)
    phases = ("before", "down", "after")

    def make(number: int) -> Ask:
        asking = _LENGTHS.asking(number)
        return Ask(
            model=rotate(asked, number).name,
            messages=(("user", draw(f"{setting.seed}/{number}", asking.fresh_tokens)),),
            max_tokens=asking.answer_tokens,
        )

    return Plan(
        stages=staircase([setting.users or 4] * len(phases), seconds / len(phases)),
        ask=make,
        slo="ttft < 2s",
        breaks=(Break(seconds / 3, first), Break(2 * seconds / 3, first, revive=True)),
    )


_LENGTHS = Conversations(fresh=_CHAT, answer=_SHORT)
_KINDS = {"chat": 60, "long-prompt": 20, "long-answer": 10, "not-streamed": 10}
"""Of a hundred requests."""


def mixed(setting: Setting) -> Plan:
    """Short chats, long prompts, long answers and answers in one piece, side by side."""
    long_prompt = Lengths(768, spread=0.3, least=256, most=1536)
    long_answer = Lengths(256, spread=0.3, least=128, most=512)
    mixes = {
        "chat": _chat(setting, _CHAT, _CHAT),
        "long-prompt": _chat(setting, long_prompt, _SHORT),
        "long-answer": _chat(setting, _CHAT, long_answer),
        "not-streamed": _chat(setting, _CHAT, _SHORT),
    }

    def make(number: int) -> Ask:
        source = random.Random(f"{setting.seed}/kind/{number}")  # noqa: S311 - no cryptography
        kind = source.choices(list(_KINDS), list(_KINDS.values()))[0]
        made = mixes[kind](number)
        return replace(made, stream=kind != "not-streamed", labels={"kind": kind})

    return Plan(
        stages=steady(setting.users or 12, setting.seconds(60)),
        ask=make,
        slo="e2e < 30s",  # an answer in one piece has no first token
    )


def _replay(setting: Setting, place: str) -> Plan:
    path, seconds = Path(place), setting.seconds(600)
    read = trace.mooncake if path.suffix == ".jsonl" else trace.azure
    try:
        played = tuple(
            trace.window(read(path), to_s=seconds * setting.faster, faster=setting.faster)
        )
    except (OSError, trace.TraceError) as error:
        raise SettingError(f"the trace cannot be replayed: {error}") from error
    if not played:
        raise SettingError(f"{path} holds no request in its first {seconds * setting.faster:g} s.")
    lasting_s = played[-1].at_s + 1.0
    target = setting.first_batching

    def make(number: int) -> Ask:
        return _traced(setting, target, played[number], number)

    def arrivals() -> Iterator[float]:
        return (traced.at_s for traced in played)

    return Plan(stages=steady(len(played) / lasting_s, lasting_s), ask=make, arrivals=arrivals)


def _traced(setting: Setting, target: Target, traced: Traced, number: int) -> Ask:
    """Lengths as traced, cut to what the model holds; equal blocks are equal text."""
    answer = max(1, min(traced.answer_tokens, target.context // 2))
    prompt = max(1, min(traced.prompt_tokens, target.context - answer))
    pieces, left = [], prompt
    for block in traced.blocks:
        size = min(left, trace.MOONCAKE_BLOCK)
        if size:
            pieces.append((f"{setting.seed}/block/{block}", size))
        left -= size
    if left:
        pieces.append((f"{setting.seed}/{number}", left))
    return Ask(
        model=target.name,
        messages=(("user", Drawn(tuple(pieces))),),
        max_tokens=answer,
        labels={"cut": "1"} if traced.prompt_tokens > prompt else {},
    )


PROFILES = {
    profile.name: profile
    for profile in (
        Profile.of(smoke),
        Profile.of(staircase_),
        Profile.of(capacity_4096),
        Profile.of(burst),
        Profile.of(ramp_),
        Profile.of(soak),
        Profile.of(open_loop),
        Profile.of(cache),
        Profile.of(fallback),
        Profile.of(mixed),
    )
}
"""Every profile by its name, the default first."""
