"""Which tokens are computed in the next step: vLLM v1's scheduler, decision for decision.

Follows vllm/v1/core/sched/scheduler.py, ``schedule`` and ``update_from_output`` (0.32), for a
model with full attention in all layers and without speculation, adapters or remote caches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.scheduler.blocks import BlockPool
from harness.engines.scheduler.config import SchedulerConfig, SchedulerError
from harness.engines.scheduler.counters import Counters
from harness.engines.scheduler.plan import StepPlan
from harness.engines.scheduler.steady import Steady
from harness.engines.scheduler.waiting import ArrivalQueue, PriorityQueue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.engines.scheduler.blocks import Block
    from harness.engines.scheduler.sequence import Sequence


class Scheduler:
    """Sequences in, one `StepPlan` after another out.

    The caller repeats `step`, computes it (or lets the time pass that it would take) and hands it
    to `complete`. With ``async_scheduling`` one more `step` may be taken before the `complete` of
    the one before; plans are completed in the order they were made.
    """

    def __init__(self, config: SchedulerConfig) -> None:
        self.config = config
        self.pool = BlockPool(config.num_blocks - 1)
        self.counters = Counters()
        self.running: list[Sequence] = []
        self.paused = False
        """Admit nobody; who runs runs on."""
        self._waiting: ArrivalQueue | PriorityQueue = (
            PriorityQueue() if config.policy == "priority" else ArrivalQueue()
        )
        self._arrived = self._admitted = 0
        self._flying: list[StepPlan] = []
        self._steady = Steady()
        self._carefree = not config.async_scheduling
        """A full block is known to be full as soon as it is; nobody waits to be told."""
        self._ending: set[Sequence] = set()
        """Running sequences whose last token is in flight."""

    @property
    def waiting(self) -> int:
        """Sequences without a place, the preempted ones included."""
        return len(self._waiting)

    @property
    def kv_usage(self) -> float:
        """Share of the blocks that are held, 0 to 1."""
        return self.pool.used / self.pool.usable

    @property
    def idle(self) -> bool:
        """Nothing runs and nothing waits."""
        return not self.running and not self._waiting

    def add(self, sequence: Sequence) -> None:
        """Let ``sequence`` wait for its turn; its answer is cut to what the model allows.

        Raises SchedulerError: the prompt leaves no room for an answer, or none was asked for.
        """
        longest = self.config.max_model_len
        if sequence.prompt < 1 or sequence.length < 1:
            raise SchedulerError(
                "scheduler.sequence", f"{sequence}: prompt and answer need a token each"
            )
        if sequence.prompt >= longest:
            raise SchedulerError(
                "scheduler.too-long",
                f"a prompt of {sequence.prompt} tokens does not fit into max_model_len "
                f"{longest}, answer included: shorten it or raise max_model_len",
            )
        sequence.end = min(sequence.end, longest)
        self._arrived += 1
        sequence.number = self._arrived
        self._waiting.add(sequence)

    def abort(self, sequence: Sequence) -> None:
        """Forget ``sequence`` and free its blocks at once, also amid a step."""
        if sequence.finished:
            return
        if sequence.running:
            self.running.remove(sequence)
            self._steady.leave(sequence)
            self._publish_late(sequence)
        else:
            self._waiting.remove(sequence)
        self._end(sequence)
        self.counters.aborted += 1
        for plan in self._flying:
            plan.disturbed = True

    def step(self) -> StepPlan:
        """Plan the next step; it has no tokens if there is nothing that could be computed."""
        config = self.config
        plan = StepPlan()
        threshold = config.long_prefill_token_threshold
        if len(self.running) + len(self._waiting) <= 1:
            threshold = 0  # nobody is there to be starved by a long prompt
        due = self._continue_steadily(plan)
        if due is None:
            budget = self._continue_running(plan, config.max_num_batched_tokens, threshold)
        else:
            budget = config.max_num_batched_tokens - len(plan.sequences)
        if not plan.preempted and not self.paused:
            self._admit_waiting(plan, budget, threshold)
        self._sort_out(self.running if due is None else [*due, *plan.admitted])
        if plan.sequences:
            self._flying.append(plan)
        return plan

    def complete(self, plan: StepPlan) -> StepPlan:
        """The step was computed: each sequence that is through with its prompt has a token more.

        Returns ``plan`` with `StepPlan.sampled` set, and `StepPlan.last` as it came to be.
        """
        if not plan.sequences:
            return plan
        self._flying.remove(plan)
        self.counters.computed_tokens += plan.tokens
        partial = plan.partial
        plan.sampled = (
            [each for each in plan.sequences if each not in partial] if partial else plan.sequences
        )
        if plan.disturbed:
            self._settle(plan)
        if self._flying and self.config.enable_prefix_caching:
            for sequence in self._flying[-1].starved:
                if sequence.running:  # nothing of it is in flight any more
                    self._publish(sequence, sequence.computed)
        if plan.last:
            for sequence in plan.last:
                self._finish(sequence)
        return plan

    def _settle(self, plan: StepPlan) -> None:
        """Leave out who was aborted; who was preempted has its token all the same."""
        plan.sampled = [each for each in plan.sampled if not each.finished]
        plan.last = [each for each in plan.last if not each.finished]
        for sequence in plan.sequences:
            if sequence.stale:
                sequence.stale -= 1
                if sequence not in plan.partial:
                    sequence.goal += 1

    # Running sequences.

    def _continue_steadily(self, plan: StepPlan) -> list[Sequence] | None:
        """Give all that run a token, and look only at those that need more for it.

        Returns these; None and no change if it takes `_continue_running`, because a prompt is not
        through or somebody has to give up blocks.
        """
        steady, ending, running = self._steady, self._ending, self.running
        if steady.count + len(ending) != len(running):
            return None
        due = steady.due()
        if steady.lack(due) > self.pool.free:
            return None
        for sequence in due:
            steady.leave(sequence)
        plan.context = steady.context
        steady.advance()
        for sequence in due:
            self._allocate(sequence, 1)
            plan.place(sequence, 1)
        plan.sequences = (
            [each for each in running if each not in ending] if ending else running.copy()
        )
        return due

    def _sort_out(self, sequences: Iterable[Sequence]) -> None:
        """Say of each how it goes on in the next step."""
        for sequence in sequences:
            if sequence.goal >= sequence.end:
                self._ending.add(sequence)
            elif sequence.goal == sequence.computed + 1:
                self._steady.join(sequence)

    def _continue_running(self, plan: StepPlan, budget: int, threshold: int) -> int:
        """Give those that run their tokens, in order; return what is left of the budget."""
        running = self.running
        self._ending.clear()
        self._steady.clear(running)
        self._steady.advance()
        index = 0
        while index < len(running) and budget > 0:
            sequence = running[index]
            index += 1
            if sequence.goal >= sequence.end:  # the tokens it lacks are all in flight
                continue
            tokens = sequence.goal - sequence.computed
            if 0 < threshold < tokens:
                tokens = threshold
            tokens = min(tokens, budget)
            if not self._allocate(sequence, tokens):
                index, restored = self._make_room(plan, sequence, tokens, index)
                budget += restored
                if not sequence.running:
                    break
            plan.place(sequence, tokens)
            budget -= tokens
        plan.starved = running[index:]
        return budget

    def _make_room(
        self, plan: StepPlan, sequence: Sequence, tokens: int, index: int
    ) -> tuple[int, int]:
        """Preempt until ``tokens`` of ``sequence`` fit or it is itself the last to go.

        ``index`` is the place after it in `running`. Returns where it stands now, and the tokens
        of the budget that the preempted had and gave back.
        """
        restored = 0
        while True:
            if self.config.policy == "priority":
                victim = max(self.running)
                place = self.running.index(victim)
                del self.running[place]
                if place < index:
                    index -= 1
                if victim in plan.sequences:
                    self._publish_late(victim)  # as it was given blocks, though not computed
                    restored += plan.withdraw(victim)
            else:
                victim = self.running.pop()
            self._preempt(victim)
            plan.preempted.append(victim)
            if victim is sequence or self._allocate(sequence, tokens):
                return index, restored

    def _preempt(self, sequence: Sequence) -> None:
        """Take its blocks and all that was computed; it waits again, with its answer so far."""
        for plan in self._flying:
            if sequence in plan.sequences:
                plan.disturbed = True
                sequence.stale += 1
                if sequence not in plan.partial:
                    sequence.goal -= 1  # given back when the step in flight is complete
        self._publish_late(sequence)
        self._name(sequence, sequence.published)  # it will look for them itself
        self._release(sequence)
        sequence.running = False
        sequence.computed = 0
        sequence.preemptions += 1
        self.counters.preemptions += 1
        self._waiting.put_back((sequence,))

    # Waiting sequences.

    def _admit_waiting(self, plan: StepPlan, budget: int, threshold: int) -> None:
        """Let in who is next for as long as there is a place, budget and room in the pool."""
        config, waiting, running = self.config, self._waiting, self.running
        passed: list[Sequence] = []
        while budget > 0 and waiting and len(running) < config.max_num_seqs:
            sequence = waiting.peek()
            if sequence.stale:  # its last tokens before the preemption are still in flight
                passed.append(waiting.take())
                continue
            hits = self._find(sequence) if config.enable_prefix_caching else []
            found = len(hits) * config.block_size
            tokens = sequence.goal - found
            if 0 < threshold < tokens:
                tokens = threshold
            if tokens > budget and not config.enable_chunked_prefill:
                break
            tokens = min(tokens, budget)
            if not self._admit(sequence, tokens, hits):
                break
            waiting.take()
            self._admitted += 1
            sequence.order = self._admitted
            sequence.slack = int(self._carefree and not sequence.shared)
            running.append(sequence)
            plan.admitted.append(sequence)
            sequence.running = True
            plan.place(sequence, tokens)
            budget -= tokens
        waiting.put_back(passed[::-1] if isinstance(waiting, ArrivalQueue) else passed)

    def _find(self, sequence: Sequence) -> list[Block]:
        """Cached blocks it begins with; its last token is never among them.

        That token has to be computed for its logits, and a hit is made of whole blocks.
        """
        hits: list[Block] = []
        find, key = self.pool.find, sequence.key
        for index in range((sequence.goal - 1) // self.config.block_size):
            block = find(key(index))
            if block is None:
                break
            hits.append(block)
        return hits

    def _admit(self, sequence: Sequence, tokens: int, hits: list[Block]) -> bool:
        """Blocks for the first ``tokens`` after ``hits``; False and no change if there are none."""
        config, pool = self.config, self.pool
        found = len(hits) * config.block_size
        reviving = sum(block.holders == 0 for block in hits)
        spare = pool.free - reviving
        if self.running:
            spare -= int(config.watermark * config.num_blocks)
        lack = config.blocks_for(found + tokens) - len(hits)
        if config.scheduler_reserve_full_isl:
            lack = max(lack, config.blocks_for(sequence.goal) - len(hits))
        if lack > spare:
            return False
        if config.enable_prefix_caching:
            if not sequence.preemptions:
                self.counters.prefix_queries += sequence.goal
                self.counters.prefix_hits += found
            if sequence.cached < 0:
                sequence.cached = found
            sequence.hit_tokens += found
        pool.hold(hits)
        sequence.blocks = hits
        sequence.published = len(hits)
        sequence.computed = found
        sequence.room = found
        self._allocate(sequence, tokens)
        return True

    # Blocks.

    def _allocate(self, sequence: Sequence, tokens: int) -> bool:
        """Blocks for ``tokens`` more of ``sequence``; False and no change if there are none."""
        wanted = sequence.computed + tokens
        if wanted > sequence.room:
            size = self.config.block_size
            lack = -((sequence.room - wanted) // size)
            if lack > self.pool.free:
                return False
            self.pool.take(lack)
            sequence.nameless += lack
            sequence.room += lack * size
        if not sequence.slack and self.config.enable_prefix_caching:
            self._publish(sequence, min(wanted, self._known(sequence)))
        return True

    def _known(self, sequence: Sequence) -> int:
        """Its tokens without the one in flight: what that will be nobody can find yet."""
        generating = sequence.edge > 0  # set with the first token since it was admitted
        if generating and self._flying and sequence not in self._flying[-1].starved:
            return sequence.goal - 1
        return sequence.goal

    def _publish(self, sequence: Sequence, tokens: int) -> None:
        """Let others find the full blocks of the first ``tokens`` tokens."""
        full = tokens // self.config.block_size
        if full > sequence.published:
            if sequence.published < sequence.shared:
                self._name(sequence, min(full, sequence.shared))
            sequence.published = full

    def _publish_late(self, sequence: Sequence) -> None:
        """Make up for what was not done when its blocks became full."""
        if sequence.slack and self.config.enable_prefix_caching:
            self._publish(sequence, sequence.computed)

    def _name(self, sequence: Sequence, until: int) -> None:
        """Give its blocks names, up to that one."""
        blocks, name, key = sequence.blocks, self.pool.name, sequence.key
        first = len(blocks)
        blocks += [name(key(index)) for index in range(first, until)]
        sequence.nameless -= len(blocks) - first

    def _release(self, sequence: Sequence) -> None:
        lost = max(0, sequence.published - len(sequence.blocks))
        self.pool.release(sequence.blocks, lost=lost, plain=sequence.nameless - lost)
        sequence.blocks = []
        sequence.nameless = 0
        sequence.room = sequence.edge = sequence.published = 0

    def _finish(self, sequence: Sequence) -> None:
        if sequence.running:
            self.running.remove(sequence)
            if self.config.enable_prefix_caching:
                self._publish(sequence, sequence.computed)
        else:  # its last token was in flight when it was preempted
            self._waiting.remove(sequence)
        self._end(sequence)
        self.counters.finished += 1

    def _end(self, sequence: Sequence) -> None:
        self._release(sequence)
        self._ending.discard(sequence)
        sequence.running = False
        sequence.finished = True
