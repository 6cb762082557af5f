"""One closed loop, played by the bare engine or by the Locust user: what does Locust cost?

``python same_load.py URL USERS SECONDS`` plays it on `harness.load.driving.closed`, and
``locust -f same_load.py --headless --host URL --users USERS --run-time SECONDS`` as every profile
is played. Both print a line, ``answers A cpu_s C``: answers, and the CPU seconds of the whole
process from the first request until the last answer is dealt with. The bare engine makes its
request once; the user makes each anew, and each answer becomes a row of the journal and of
Locust's table. Parsing is in neither: the user has it done by another process.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from harness.load.profiles import Ask, Plan, Profile, Setting
from harness.load.workload.arrival import steady

ASK = Ask(model="timed", messages=(("user", "hello"),), max_tokens=64)
STAGGER_S = 1.0


def tell(answers: int, cpu_s: float) -> None:
    """Print what the bench reads."""
    print(f"answers {answers} cpu_s {cpu_s}", flush=True)  # noqa: T201 - how the bench learns it


def bare(url: str, users: int, seconds: float) -> None:
    """Play it without Locust."""
    from harness.load.driving import Call, closed  # noqa: PLC0415 - not in the other process
    from harness.wire.engine import LoadEngine  # noqa: PLC0415 - likewise

    call = Call(ASK.request(f"{url}/v1", key=None))
    with LoadEngine(max_in_flight=max(4096, users)) as engine:
        begun_s = time.process_time()
        drive = closed(engine, lambda _: call, users=users, seconds=seconds, stagger_s=STAGGER_S)
        tell(len(drive.recorded), time.process_time() - begun_s)


def with_locust() -> tuple[type, type]:
    """What Locust must find in this file."""
    from locust import events  # noqa: PLC0415 - it patches the process

    from harness.load.locusts.hand import Hand  # noqa: PLC0415 - likewise
    from harness.load.locusts.play import play  # noqa: PLC0415 - likewise

    begun_s, took_s, finish = 0.0, 0.0, Hand.finish

    def asked(number: int) -> Ask:
        nonlocal begun_s
        if number == 0:
            begun_s = time.process_time()
        return ASK

    def finished(hand: Hand, **told: Any) -> str | None:
        nonlocal took_s
        trouble = finish(hand, **told)
        took_s = time.process_time() - begun_s  # before the summary, which is no part of the load
        return trouble

    def quitting(environment: Any, **_: Any) -> None:
        tell(environment.stats.get(ASK.model, "E2E").num_requests, took_s)

    def same_load(setting: Setting) -> Plan:
        """The load of the bench."""
        stages = steady(setting.users, setting.seconds(10))
        return Plan(stages=stages, ask=asked, stagger_s=STAGGER_S)

    Hand.finish = finished
    events.quitting.add_listener(quitting)
    return play(Profile.of(same_load))


if __name__ == "__main__":
    bare(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
else:
    LoadUser, LoadShape = with_locust()
