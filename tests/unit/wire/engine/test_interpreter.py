"""What the engine changes of the interpreter helps it, and is put back."""

from __future__ import annotations

import gc
import sys
import threading

import pytest

from harness.wire.engine import LoadEngine
from harness.wire.engine.interpreter import SWITCH_S, YOUNG, quiet


def settings() -> tuple[tuple[int, int, int], float, bool]:
    return gc.get_threshold(), sys.getswitchinterval(), gc.isenabled()


def test_within_it_only_new_objects_are_collected_and_threads_switch_at_once() -> None:
    before = settings()
    with quiet():
        (young, middle, _), switch_s, enabled = settings()
        assert (young, enabled) == (YOUNG, before[2])
        assert middle > 1000 * before[0][1]
        assert switch_s == pytest.approx(SWITCH_S)
    assert settings() == before


def test_objects_from_before_are_not_looked_at() -> None:
    kept = [[] for _ in range(1000)]  # type: ignore[var-annotated]
    generations: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            generations.append(info["generation"])

    with quiet():
        gc.callbacks.append(note)
        try:
            kept += [[] for _ in range(20 * YOUNG)]
        finally:
            gc.callbacks.remove(note)
    assert generations
    assert set(generations) == {0}


def test_what_was_set_is_restored_after_the_last_of_several() -> None:
    before = settings()
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    with quiet():
        thread.start()
        assert inside.wait(30)
    assert settings() != before
    leave.set()
    thread.join()
    assert settings() == before


def test_it_is_restored_after_a_failure() -> None:
    before = settings()
    with pytest.raises(ZeroDivisionError), quiet():
        _ = 1 / 0
    assert settings() == before


def test_collection_that_is_switched_off_stays_off() -> None:
    gc.disable()
    try:
        with quiet():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_shorter_interval_than_ours_is_kept() -> None:
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(1e-5)
        with quiet():
            assert sys.getswitchinterval() == pytest.approx(1e-5)
    finally:
        sys.setswitchinterval(before)


def test_an_engine_is_quiet_from_start_to_close_and_lets_go_once() -> None:
    before = settings()
    engine = LoadEngine()
    assert settings() == before
    with engine:
        assert settings() != before
    engine.close()
    assert settings() == before
