"""A thread asks for short slices of the processor, and says what it got."""

from __future__ import annotations

import os
import platform
import sys
import threading

import pytest

from harness.wire.engine import LoadEngine, slices
from harness.wire.engine.slices import SLICE_NS, short


def in_a_thread() -> int | None:
    """The slices that a fresh thread gets."""
    got: list[int | None] = []

    def ask() -> None:
        with short() as slice_ns:
            got.append(slice_ns)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return got[0]


def test_a_thread_gets_short_slices_where_the_kernel_gives_them() -> None:
    assert in_a_thread() in (None, SLICE_NS)


def test_afterwards_all_is_as_it_was() -> None:
    before = slices._Attributes.of_this_thread()
    with short() as got, short() as again:
        assert got == again
    after = slices._Attributes.of_this_thread()
    if before is None or after is None:
        pytest.skip("the kernel has no slices to ask for")
    assert (before.runtime, before.policy, before.nice) == (
        after.runtime,
        after.policy,
        after.nice,
    )
    assert before.policy == os.sched_getscheduler(0)


@pytest.mark.parametrize(("system", "machine"), [("darwin", "arm64"), ("linux", "vax")])
def test_another_platform_has_none(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert in_a_thread() is None


def test_a_refusal_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_SETATTR", {platform.machine(): 100_000})  # no such call
    assert in_a_thread() is None


def test_the_engine_says_which_slices_it_has() -> None:
    with LoadEngine() as engine:
        assert engine.vitals().slice_ns == in_a_thread()
