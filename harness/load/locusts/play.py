"""What a locustfile gets: a user, a shape, and the listeners that connect them to a run."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import gevent
import psutil
from locust import LoadTestShape, User, constant, events, task
from locust.runners import MasterRunner, WorkerRunner
from locust.user.task import LOCUST_STATE_STOPPING

from harness.load.locusts import options
from harness.load.locusts.conductor import Conductor
from harness.load.locusts.orders import DONE, FINISH, ORDERS, READY, ROWS, START
from harness.load.locusts.worker import Worker
from harness.load.profiles import SettingError

if TYPE_CHECKING:
    from locust.env import Environment

    from harness.load.locusts.hand import Hand
    from harness.load.profiles import Profile

_TOGETHER_S = 2.0
_PROFILES: dict[str, Profile] = {}


class _Process:
    """This process's part: the conductor's or a worker's."""

    conductor: Conductor | None = None
    worker: Worker | None = None


def play(profile: Profile) -> tuple[type[LoadUser], type[LoadShape]]:
    """Make ``profile`` known to Locust; returns what a locustfile must hold: a user and a shape.

    They are the same for all profiles: Locust loads every file of a folder and takes each class
    once. Which profile runs is ``--load-profile``.
    """
    _PROFILES[profile.name] = profile
    return LoadUser, LoadShape


class LoadUser(User):
    """Asks what the plan of the run says, and waits for the recording."""

    wait_time = constant(0)

    @task
    def play(self) -> None:
        """Play conversations, or in an open loop this process's arrivals."""
        hand = _hand()
        if hand is None:
            gevent.sleep(0.1)  # the orders are on their way
        else:
            hand.play(self._stopping)

    def _stopping(self) -> bool:
        """Whether Locust has asked this user to finish: to go through its task costs more."""
        return self._state == LOCUST_STATE_STOPPING


class LoadShape(LoadTestShape):
    """The number of users that the plan of the run says."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """Ask the conductor."""
        return None if _Process.conductor is None else _Process.conductor.tick()


def _hand() -> Hand | None:
    if _Process.worker is not None:
        return _Process.worker.hand
    return None if _Process.conductor is None else _Process.conductor.hand


def _add_options(parser: Any, **_: Any) -> None:
    options.add(parser, _PROFILES)


def _interrupt_once() -> None:
    """Take signals of Ctrl-C that come together as one: a shell and its jobs may each send it.

    The run is ended in order on the first; one that comes while its end is waited for cuts that
    short, and one that comes later still ends the process at once.
    """
    last_s = float("-inf")

    def interrupted(*_: Any) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s > _TOGETHER_S:
            last_s = now_s
            part = _Process.worker or _Process.conductor
            if part is None or not part.interrupt():
                raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupted)
    hub = gevent.get_hub()
    hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)  # no traceback: nothing went wrong


def _init(environment: Environment, runner: Any, **_: Any) -> None:
    _interrupt_once()
    if isinstance(runner, WorkerRunner):
        _Process.worker = worker = Worker(environment, _PROFILES)
        runner.register_message(ORDERS, worker.begin, concurrent=True)
        runner.register_message(START, worker.start)
        runner.register_message(FINISH, worker.finish, concurrent=True)
        environment.events.report_to_master.add_listener(worker.report)
        environment.events.test_stopping.add_listener(worker.stopping)
        environment.events.quitting.add_listener(worker.stopping)  # before Locust says goodbye
        return
    workers = psutil.Process().children()  # those of --processes: nothing else was started yet
    _Process.conductor = conductor = Conductor(environment, _PROFILES)
    environment.events.test_stopping.add_listener(lambda **_: conductor.finish())
    environment.events.quitting.add_listener(lambda **_: conductor.leave())
    if isinstance(runner, MasterRunner):
        environment.events.worker_report.add_listener(
            lambda client_id, data, **_: conductor.report(client_id, data)
        )

        def take(msg: Any, **_: Any) -> None:
            conductor.report(msg.node_id, msg.data)

        runner.register_message(READY, lambda msg, **_: conductor.ready(msg.node_id))
        runner.register_message(ROWS, take)
        runner.register_message(DONE, take)
    try:
        conductor.bring_gateway()
    except SettingError as error:
        for child in workers:
            child.terminate()
        sys.stderr.write(f"locust: error: {error}\n")
        sys.exit(2)


events.init_command_line_parser.add_listener(_add_options)
events.init.add_listener(_init)
