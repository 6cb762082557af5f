"""Prompts of exact counts in a run: learnt before it begins, and checked when it is over."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from harness.evidence import Evidence, Verdict
from harness.load.profiles import Ask, Drawn, Exact, SettingError
from harness.load.profiles.exact import drawn, shape, turns
from harness.load.profiles.text import WORDS
from harness.load.target import PROBE, LoadError, counted, usage_of
from harness.load.workload.prompts import MADE_UP, PromptError, single_words
from harness.load.workload.tokenizer import Tokenizer, TokenizerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.load.journal.rows import Row
    from harness.load.locusts.gateway import OwnGateway
    from harness.load.locusts.orders import Orders
    from harness.load.profiles import Plan
    from harness.load.workload.prompts import Wording
    from harness.wire import Request

ASKED = "asked_tokens"
"""The label of a row whose usage must say that its prompt has so many tokens."""
_LEAST_ASKS = 64
"""So many requests are looked at to know what a profile asks."""
_SHOWN = 3

EXPLAINED = {
    "load.prompt-tokens": """A prompt of a load had another number of tokens than was asked for

With --prompts chat or ids every prompt is of an exact number of tokens, and usage.prompt_tokens of
every whole answer must say so. Where the streams of a server do not tell it, it was asked for one
prompt in one piece before the load.

Remedy: look whether another engine has answered, whose template adds another number, as in a chain
of fallbacks.""",
}
"""What ``harness explain`` says of it."""


class Counter(NamedTuple):
    """A server that was named to say what a text is in tokens."""

    url: str
    """Its API root."""
    key: str | None = None


def tokenizer_of(
    name: str, orders: Orders, named: Mapping[str, Counter], own: OwnGateway | None
) -> Tokenizer:
    """Who counts the tokens of prompts for ``name``.

    The server that was ``named`` for its provider, or for all (under no name), else the engine of
    our ``own`` gateway, else the target itself.
    """
    target = next((one for one in orders.setting.targets if one.name == name), None)
    provider = target.providers[0] if target is not None and target.providers else ""
    if (counter := named.get(provider) or named.get("")) is not None:
        served_as = (target.served_as if target is not None else "") or name
        return Tokenizer(counter.url, served_as, counter.key)
    if own is not None and target is not None:
        return own.tokenizer(target)
    return Tokenizer(orders.base_url, name, orders.key)


def learn(plan: Plan, orders: Orders, tokenizer_of: Callable[[str], Tokenizer]) -> dict[str, Exact]:
    """How the prompts of ``plan`` are written in exact counts, by the name that is asked.

    Each name is asked a few requests for one token; ``tokenizer_of`` says who counts for it.
    Nothing where words are wanted.

    Raises:
        SettingError: it cannot be done; the text begins with an id for `harness explain`.
    """
    setting = orders.setting
    if setting.prompts == "words":
        return {}
    numbers = max(_LEAST_ASKS, 2 * plan.turns * len(setting.targets))
    if plan.arrivals is not None:  # a trace may be shorter
        numbers = sum(1 for _ in islice(plan.arrivals(), numbers))
    examples: dict[str, list[Ask]] = {}
    for ask in map(plan.ask, range(numbers)):
        for message in ask.messages:
            drawn(message)
        examples.setdefault(ask.model, []).append(ask)

    def request(ask: Ask, exact: Exact | None = None) -> Request:
        short = replace(ask, max_tokens=1)
        return short.request(orders.base_url, key=orders.key, exact=exact)

    found = {}
    try:
        for name, wording in _wordings(examples, tokenizer_of).items():
            asks = examples[name]
            shapes = _shapes(asks) if setting.prompts == "chat" else ()
            added = {roles: _added(request, name, roles, wording) for roles in shapes}
            exact = Exact(wording=wording, added=added)
            found[name] = replace(exact, told=_told(request, asks, exact))
    except (TokenizerError, PromptError, LoadError) as error:
        raise SettingError(f"{error.id}: --prompts {setting.prompts}: {error}") from error
    return found


def _wordings(names: Iterable[str], tokenizer_of: Callable[[str], Tokenizer]) -> dict[str, Wording]:
    """The words that are one token each, by name; says which names have a count if not all have."""
    found, missing = {}, None
    for name in names:
        try:
            found[name] = single_words(WORDS, tokenizer_of(name).ids, MADE_UP)
        except TokenizerError as error:
            missing = missing or error
    if missing is None:
        return found
    others = f" --model {','.join(found)} asks only names that are counted." if found else ""
    raise TokenizerError(missing.id, f"{missing}{others}")


def _shapes(asks: Iterable[Ask]) -> dict[str, None]:
    return {shape(ask.messages[:end]): None for ask in asks for end in turns(ask.messages)}


def _added(request: Callable[[Ask], Request], name: str, roles: str, wording: Wording) -> int:
    """What a chat of that shape comes to where each message is one word."""
    first, *others = roles.split()
    text = wording.opener + wording.more(PROBE, f"probe/{roles}")
    said = ((first, text), *((role, wording.opener) for role in others))
    return (
        usage_of(request(Ask(model=name, messages=said, max_tokens=1, stream=False)), name) - PROBE
    )


def _told(request: Callable[[Ask, Exact], Request], asks: list[Ask], exact: Exact) -> bool:
    """Have the longest conversation of ``asks`` counted; returns whether its stream tells too."""
    longest = max(asks, key=lambda ask: len(ask.messages))
    said = tuple(  # another text of the same length: caches must not hold what is asked later
        (role, Drawn(tuple((f"probe/{key}", tokens) for key, tokens in drawn((role, text)).pieces)))
        for role, text in longest.messages
    )
    probe = replace(longest, messages=said)
    return counted(
        lambda stream: request(replace(probe, stream=stream), exact),
        probe.model,
        exact.tokens(probe),
    )


class Counts:
    """What the usage of the answers of a run says of prompts that were to be of exact counts."""

    def __init__(self, exact: Mapping[str, Exact]) -> None:
        self._exact = exact
        self.n = self.amiss = 0
        """Prompts that were looked at, and those that were of another count."""
        self._others: dict[str, None] = {}

    def add(self, row: Row) -> None:
        """Look at the prompt of ``row``, if it has to be of an exact count."""
        asked = row.labels.get(ASKED)
        if asked is None or row.failure:
            return
        self.n += 1
        if row.prompt_tokens != int(asked):
            self.amiss += 1
            if len(self._others) < _SHOWN:
                said = "no count" if row.prompt_tokens is None else str(row.prompt_tokens)
                self._others[f"{said} for {asked} of {row.name}"] = None

    @property
    def why(self) -> str:
        """What is wrong; empty if nothing is."""
        if not self.amiss:
            return ""
        others = ", ".join(self._others)
        return f"{self.amiss} of {self.n} prompts are of another count by usage: e.g. {others}"

    @property
    def lines(self) -> list[str]:
        """For a person; nothing where no prompt had to be of an exact count."""
        if not self._exact:
            return []
        if self.why:
            return [f"INCONCLUSIVE: {self.why}"]
        silent = ", ".join(name for name, exact in self._exact.items() if not exact.told)
        apart = f"; the streams of {silent} do not tell: counted before the load" if silent else ""
        return [f"prompts: {self.n} of exactly the tokens asked for, by usage{apart}"]

    def evidence(self, profile: str, seed: int) -> list[Evidence]:
        """The same, to be kept."""
        if not self._exact:
            return []
        return [
            Evidence(
                check="load.prompt-tokens",
                subject=f"load:{profile}",
                asked="Was every prompt of exactly the tokens asked for?",
                verdict=Verdict.INCONCLUSIVE if self.amiss else Verdict.PASS,
                reason=self.why,
                value=self.amiss,
                unit="prompts",
                n=self.n,
                bound=0.0,
                seed=seed,
            )
        ]
