"""One run from its first tick to its table: in the process that has no master above it."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gevent
from locust.runners import MasterRunner

from harness.load.journal.journal import JournalError
from harness.load.locusts import options as told
from harness.load.locusts import telling
from harness.load.locusts.clerk import STALLED_S
from harness.load.locusts.counting import learn, tokenizer_of
from harness.load.locusts.gateway import OwnGateway
from harness.load.locusts.hand import Hand
from harness.load.locusts.orders import FINISH, ORDERS, START, Orders
from harness.load.locusts.progress import Progress
from harness.load.locusts.run import Run
from harness.load.locusts.table import trim
from harness.load.profiles import SettingError
from harness.stack.fleet import ITL_MS
from harness.wire import WireError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from locust.env import Environment

    from harness.load.profiles import Plan, Profile, Setting

_NS = 1_000_000_000
_EMULATED, _USUAL = 1000 / ITL_MS, 50.0
"""Tokens a second of an answer, of an emulated engine and of a card."""
_READY_WITHIN_S = 120.0
_LEAD_S = 0.5
"""From the orders to the beginning: time for them to arrive."""
_GRACE_S, _HASTE_S = 30.0, 15.0
"""How much longer than a request may take workers have until they begin to hand in their last
rows, and how long they have where nothing under way is waited for."""
_SILENT_S = STALLED_S + 30.0
"""How long none of them may have come further then: each would give up itself before that."""
_OVER_S = 0.1
LOCAL = "local"
_log = logging.getLogger(__name__)


class Conductor:
    """Begins runs, watches them and ends them; knows the workers, if there are any."""

    def __init__(self, environment: Environment, profiles: Mapping[str, Profile]) -> None:
        self.environment, self.profiles = environment, profiles
        self.run: Run | None = None
        self.hand: Hand | None = None
        """Ours, where no worker plays."""
        self._gateway: OwnGateway | None = None
        self._judged: dict[str, tuple[int, int]] = {}
        """How many answers of each worker are judged, of how many, while it ends."""
        self._collecting = self._hurried = False

    @property
    def options(self) -> Any:
        """What was told, on the command line or on the page."""
        return self.environment.parsed_options

    # The gateway

    def bring_gateway(self) -> None:
        """Start a gateway of our own unless a host was given. Raises SettingError."""
        setting = told.setting(self.options)
        self._stand(self.profiles[self.options.load_profile].plan(setting), setting)

    @property
    def _owned(self) -> bool:
        """Whether the host is the gateway that we brought."""
        return self._gateway is not None and self.environment.host == self._gateway.endpoint

    def _stand(self, plan: Plan, setting: Setting) -> None:
        """Have a gateway that fits ``plan``, unless a host is given, there or on the page."""
        if self.environment.host and not self._owned:
            told.reachable(self.environment.host, live=self.options.live)
            return
        stands = (plan.preset, self.options.engines)
        if self._gateway is not None and stands == (self._gateway.preset, self._gateway.tier):
            self.environment.host = self._gateway.endpoint
            return
        self.leave()
        self._gateway = own = OwnGateway(
            told.sources(self.options),
            seed=setting.seed,
            preset=plan.preset,
            tier=self.options.engines,
        )
        self.environment.host = self.options.host = own.endpoint

    def leave(self) -> None:
        """Stop the gateway that was brought."""
        if self._gateway is not None:
            self._gateway.stop()
            self._gateway = None

    # A run

    def tick(self) -> tuple[int, float] | None:
        """What Locust asks every second: how many users there should be; None ends the run."""
        run = self._present()
        while run is not None and run.ending and self.run is run:
            gevent.sleep(_OVER_S)  # None would make Locust send its workers home before that
        if run is None or run.ending or run.trouble is not None:
            return None
        self._watch(run)
        if self.hand is not None and self.hand.trouble:
            self._break_off(run, self.hand.trouble)
        if run.complete:
            return None
        trim(self.environment.stats)
        at_s = max(0.0, run.at_s())
        for order, provider in run.due_breaks(at_s=at_s):
            gevent.spawn(self._break, order, provider)
        users = run.plan.users(at_s)
        if users is None:
            run.complete = True
            return None
        if run.plan.open:
            users = max(1, len(run.workers) - len(run.lost))
        # Locust lets users go at the rate at which it starts them.
        at_once = max(users, round(run.plan.most))
        return users, float(self.options.spawn_rate or run.plan.spawn_per_s or at_once)

    def _present(self) -> Run | None:
        """The run that is under way, begun now if there is none."""
        if self.run is None:
            try:
                self._begin()
            except (SettingError, JournalError, WireError) as error:
                _log.error("%s", error)
                if self.run is not None:
                    self.run.trouble = str(error)
                elif self.options.headless:
                    self.environment.process_exit_code = telling.USAGE
                return None
        return self.run

    def _begin(self) -> None:
        options = self.options
        setting = told.setting(options)
        plan = self.profiles[options.load_profile].plan(setting)
        workers = self._ready()
        if not workers:
            raise SettingError("no worker is connected: start one with --worker, then try again.")
        self._stand(plan, setting)
        host = self.environment.host or ""
        own = self._gateway if self._owned else None
        waits = own is not None and own.kind == "emulated" and plan.preset is None
        orders = Orders(
            profile=options.load_profile,
            setting=setting,
            base_url=f"{host.rstrip('/').removesuffix('/v1')}/v1",
            key=own.key if own is not None else options.gateway_key or None,
            timeout_s=float(options.request_timeout),
            error_bar=options.error_bar == "on",
            tokens_per_s=_EMULATED if waits else _USUAL,
        )
        counting = told.tokenizers(options)
        exact = learn(plan, orders, lambda name: tokenizer_of(name, orders, counting, own))
        orders = replace(orders, exact=exact)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        folder = told.journals(options, f"{orders.profile}-{stamp}-{setting.seed}")
        watches = [*(own.watches if own is not None else ()), *told.watches(options)]
        run = Run(
            plan, orders, folder, workers=workers, slo=options.slo or plan.slo, watches=watches
        )
        run.begin()
        self.run = run
        self._give_orders(run)
        _log.info("%s: %g s, journal in %s", orders.profile, plan.seconds, folder)

    def _give_orders(self, run: Run) -> None:
        """Have everybody get ready, and then begin together."""
        runner = self.environment.runner
        if isinstance(runner, MasterRunner):
            for index, worker in enumerate(run.workers):
                share = run.orders.share(index, len(run.workers))
                runner.send_message(ORDERS, share.dump(), worker)
            until = time.monotonic() + _READY_WITHIN_S
            while not run.ready.union(run.lost).issuperset(run.workers):
                if time.monotonic() > until:
                    raise SettingError("the workers did not get ready; see what they say.")
                self._watch(run)
                gevent.sleep(0.05)
        else:
            self.hand = Hand(
                self.environment, run.orders, run.plan, lambda lines: run.take(LOCAL, lines)
            )
        run.engines.begin()
        if run.ending:  # it was stopped meanwhile
            return
        run.begun_unix_ns = time.time_ns() + round(_LEAD_S * _NS)
        if self.hand is not None:
            self.hand.start(run.begun_unix_ns)
        for worker in run.ready:
            self._start(run, worker)

    def _start(self, run: Run, worker: str) -> None:
        runner = self.environment.runner
        if isinstance(runner, MasterRunner):
            runner.send_message(START, {"begun_unix_ns": run.begun_unix_ns}, worker)

    def ready(self, worker: str) -> None:
        """A worker may begin; one that came late does so at once."""
        if self.run is not None:
            self.run.ready.add(worker)
            if self.run.begun_unix_ns:
                self._start(self.run, worker)

    def _ready(self) -> tuple[str, ...]:
        runner = self.environment.runner
        if not isinstance(runner, MasterRunner):
            return (LOCAL,)
        clients = runner.clients
        return tuple(client.id for client in [*clients.ready, *clients.running])

    def _watch(self, run: Run) -> None:
        """Notice workers that went away or came late."""
        runner = self.environment.runner
        if not isinstance(runner, MasterRunner):
            return
        missing = {client.id for client in runner.clients.missing}
        for worker in run.workers:
            gone = worker not in runner.clients or worker in missing
            if gone and worker not in run.lost and worker not in run.done:
                run.lost.append(worker)
                _log.error("worker %s was lost: its share of the load is missing now", worker)
        for worker in self._ready():
            if worker not in run.workers and not run.plan.open:
                run.latecomers += 1
                run.join(worker)
                runner.send_message(ORDERS, run.orders.late(run.latecomers).dump(), worker)

    def _break(self, order: str, provider: str) -> None:
        if self._gateway is None or not self._owned:
            _log.warning("%s %s: the engines are not ours, nothing is done", order, provider)
        elif self._gateway.tell(order, provider):
            _log.info("%s: %s", order, provider)
        else:
            _log.error("%s %s: it could not be done", order, provider)

    # Its end

    def finish(self) -> None:
        """End the run, whatever the reason: wait for the last rows, close the journal, tell."""
        run = self.run
        if run is None or run.ending:
            return
        run.ending = True
        try:
            self._finish(run)
        finally:
            run.engines.end()
            self.run = None

    def interrupt(self) -> bool:
        """Ctrl-C: cuts the end of a run short; False if none is ending, or nothing can be cut.

        It only sets flags, so that a handler of signals may call it.
        """
        if self._collecting:
            self._hurried = True
            if self.hand is not None:
                self.hand.hurry()
        return self._collecting

    def _break_off(self, run: Run, why: str) -> None:
        """End a run whose answers cannot be judged any more: what is lost says why."""
        if not run.complete:
            run.complete = True
            _log.error("the run ends before its time, as not all answers can be judged: %s", why)

    def _finish(self, run: Run) -> None:
        self._collecting, self._hurried = True, False
        try:
            self._hand_in(run)
        finally:
            self._collecting = False
        own = self._gateway if self._owned else None
        notes = {"workers": telling.kept(run)} | ({"engines": own.behind} if own else {})
        partial = run.close(notes, own.kind if own else "unknown")
        self._tell(run, partial)

    def _hand_in(self, run: Run) -> None:
        abandon = not run.complete
        if self.hand is not None:
            trouble = self.hand.finish(abandon=abandon, watch=Progress(_log.info))
            run.done[LOCAL] = {
                "rows": run.written(LOCAL),
                "trouble": trouble,
                **self.hand.told(),
            }
            self.hand.close()
            self.hand = None
        else:
            self._collect(run, abandon=abandon)

    def _collect(self, run: Run, *, abandon: bool) -> None:
        runner = self.environment.runner
        if not isinstance(runner, MasterRunner):
            return
        self._judged.clear()
        self._order(run, runner, {"abandon": abandon})
        watch, come, hurried = Progress(_log.info), (0, 0), False
        until_s = time.monotonic() + (_HASTE_S if abandon else _GRACE_S + run.orders.timeout_s)
        while not set(run.workers) <= set(run.done) | set(run.lost):
            self._watch(run)
            now_s = time.monotonic()
            judged, of = (sum(each) for each in zip(*self._judged.values(), (0, 0), strict=True))
            if self._judged:
                watch(judged, of)
            if (now := (judged, sum(map(run.written, run.workers)))) != come:
                come, until_s = now, max(until_s, now_s + _SILENT_S)
            if self._hurried and not hurried:
                hurried, until_s = True, now_s + _HASTE_S
                self._order(run, runner, {"abandon": True, "hurry": True})
            if now_s > until_s:
                return
            gevent.sleep(0.05)

    def _order(self, run: Run, runner: MasterRunner, said: dict[str, bool]) -> None:
        for worker in run.workers:
            if worker in runner.clients:
                runner.send_message(FINISH, said, worker)

    def report(self, client_id: str, data: Mapping[str, Any]) -> None:
        """Take the rows of a worker's report, of Locust's kind or of ours."""
        if self.run is not None:
            self.run.take(client_id, data.get("harness_rows", ()))
            if "harness_judged" in data:
                judged, of = data["harness_judged"]
                self._judged[client_id] = (judged, of)
            if "harness_trouble" in data:
                self._break_off(self.run, f"worker {client_id}: {data['harness_trouble']}")
            if "harness_done" in data:
                self.run.done[client_id] = data["harness_done"]

    def _tell(self, run: Run, partial: str | None) -> None:
        client, summary = telling.trusted(run), run.summary()
        run.keep(telling.evidence(run, summary, client))
        told_lines = telling.lines(run, summary, partial, client)
        print("\n".join(["", *told_lines, ""]), flush=True)  # noqa: T201 - the result of the run
        if self.options.headless:
            self.environment.process_exit_code = telling.code(run, summary, partial, client)
