"""Which tokens are computed in the next step: vLLM v1's scheduler, decision for decision.

Follows vllm/v1/core/sched/scheduler.py, ``schedule`` and ``update_from_output`` (0.32), for a
model with full attention in all layers and without speculation, adapters or remote caches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.engines.scheduler.blocks import BlockPool
from harness.engines.scheduler.config import SchedulerConfig, SchedulerError
from harness.engines.scheduler.plan import StepPlan
from harness.engines.scheduler.waiting import ArrivalQueue, PriorityQueue

if TYPE_CHECKING:
    from harness.engines.scheduler.blocks import Block
    from harness.engines.scheduler.sequence import Sequence


@dataclass(slots=True)
class Counters:
    """What has happened so far; only ever grows."""

    preemptions: int = 0
    prefix_queries: int = 0
    """Tokens looked up in the prefix cache by sequences admitted for the first time."""
    prefix_hits: int = 0
    """Tokens of these that were found."""
    finished: int = 0
    aborted: int = 0
    computed_tokens: int = 0


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
        self._arrived = 0
        self._flying: list[StepPlan] = []

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
        budget = self._continue_running(plan, config.max_num_batched_tokens, threshold)
        if not plan.preempted and not self.paused:
            self._admit_waiting(plan, budget, threshold)
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
            self.running = [each for each in self.running if not each.finished]
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

    def _continue_running(self, plan: StepPlan, budget: int, threshold: int) -> int:
        """Give those that run their tokens, in order; return what is left of the budget."""
        running, planned = self.running, plan.sequences
        index = context = 0
        while index < len(running) and budget > 0:
            sequence = running[index]
            index += 1
            goal = sequence.goal
            if goal < sequence.edge:  # nearly always
                context += sequence.computed
                sequence.computed = goal
                sequence.goal = goal + 1
                planned.append(sequence)
                budget -= 1
                continue
            if goal >= sequence.end:  # the tokens it lacks are all in flight
                continue
            tokens = goal - sequence.computed
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
        plan.context += context
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
            lack = self.config.blocks_for(wanted - sequence.room)
            if lack > self.pool.free:
                return False
            sequence.blocks += self.pool.take(lack)
            sequence.room += lack * self.config.block_size
        if self.config.enable_prefix_caching:
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
        first, full = sequence.published, tokens // self.config.block_size
        if first < full:
            publish, key = self.pool.publish, sequence.key
            for index, block in enumerate(sequence.blocks[first:full], first):
                publish(block, key(index))
            sequence.published = full

    def _release(self, sequence: Sequence) -> None:
        self.pool.release(sequence.blocks)
        sequence.blocks = []
        sequence.room = sequence.edge = sequence.published = 0

    def _finish(self, sequence: Sequence) -> None:
        if sequence.running:
            if self.config.enable_prefix_caching:
                self._publish(sequence, sequence.computed)
        else:  # its last token was in flight when it was preempted
            self._waiting.remove(sequence)
        self._end(sequence)
        self.counters.finished += 1

    def _end(self, sequence: Sequence) -> None:
        self._release(sequence)
        sequence.running = False
        sequence.finished = True
