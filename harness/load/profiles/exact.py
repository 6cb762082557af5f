"""Requests of a profile written in exactly as many tokens as it draws, by the server's count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from harness.load.profiles.profile import Drawn, SettingError
from harness.load.workload.prompts import Wording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.load.profiles.profile import Ask, Text


_LEFT = 8
"""So many tokens of a turn are always its own text."""


class _Group(NamedTuple):
    """The messages of one turn."""

    messages: tuple[Text, ...]
    drawn: int
    """Tokens that were drawn for them."""
    gone: int
    """Those of them that give way to the template."""
    added: int
    """What the template adds, and a first word for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """How prompts of exact counts are written for one model.

    A request is as long as its profile draws it. What the template adds is a part of that: of the
    text before the first answer the message that comes first gives way, and so in every turn. Some
    words are left of each all the same, or short prompts would be one and the same: what is drawn
    shorter than its template and those is longer than it was drawn.
    """

    wording: Wording
    added: Mapping[str, int] = field(default_factory=dict)
    """What a chat of one word each comes to, by its `shape`; empty where ids are sent."""
    told: bool = True
    """Whether the usage of a stream is the server's own count; see `harness.load.target`."""

    @property
    def ids(self) -> bool:
        """Whether prompts are token ids, to ``/completions``."""
        return not self.added

    def tokens(self, ask: Ask) -> int:
        """How many tokens the prompt of ``ask`` has. Raises SettingError."""
        if self.ids:
            return sum(drawn(message).tokens for message in ask.messages)
        return sum(each.drawn - each.gone + each.added for each in self._groups(ask.messages))

    def texts(self, ask: Ask) -> list[str]:
        """What each message of ``ask`` says. Raises SettingError."""
        found = []
        for group in self._groups(ask.messages):
            spare = group.gone
            for message in group.messages:
                content = drawn(message)
                words = self.wording.opener
                for key, tokens in content.pieces:
                    gone = min(spare, tokens)
                    spare -= gone
                    words += self.wording.more(tokens - gone, key)
                found.append(words)
        return found

    def draw(self, ask: Ask) -> list[int]:
        """The ids of all messages of ``ask``, one after another. Raises SettingError."""
        pieces = (piece for message in ask.messages for piece in drawn(message).pieces)
        return [each for key, tokens in pieces for each in self.wording.draw(tokens, key)]

    def _groups(self, messages: tuple[Text, ...]) -> Iterator[_Group]:
        """What each turn adds."""
        ends = turns(messages)
        costs = [self.added.get(shape(messages[:end])) for end in ends]
        begin = before = 0
        for end, cost in zip(ends, costs, strict=True):
            if cost is None:
                raise SettingError(
                    f"the profile asks in the shape {shape(messages[:end])!r} only now: nobody has "
                    "counted what a template adds to it. Ask for --prompts words."
                )
            group = messages[begin:end]
            tokens, added = sum(drawn(message).tokens for message in group), cost - before
            yield _Group(group, tokens, min(added, tokens - min(tokens, _LEFT)), added)
            begin, before = end, cost

    @classmethod
    def load(cls, said: Mapping[str, Any]) -> Self:
        """What `dataclasses.asdict` made."""
        wording = {name: _whole(value) for name, value in said["wording"].items()}
        return cls(**{**said, "wording": Wording(**wording)})


def drawn(message: Text) -> Drawn:
    """What a message says, which must not be written yet. Raises SettingError."""
    if not isinstance(message[1], Drawn):
        raise SettingError(
            "--prompts: this profile writes its text itself, so nobody can say how many tokens it "
            "is. Let it say draw(key, tokens) instead, or leave --prompts at words."
        )
    return message[1]


def shape(messages: tuple[Text, ...]) -> str:
    """Who speaks in turn: what a template adds depends on it."""
    return " ".join(role for role, _ in messages)


def turns(messages: tuple[Text, ...]) -> list[int]:
    """Where the turns of a chat end: after each message of the user, and after the last."""
    ends = [end for end, (role, _) in enumerate(messages, 1) if role == "user"]
    return ends if ends and ends[-1] == len(messages) else [*ends, len(messages)]


def _whole(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
