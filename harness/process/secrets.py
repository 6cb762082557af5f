"""What may be printed of a command and its output: everything but the secrets."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SECRET_NAME = re.compile(r"key|token|secret|passw|credential|auth", re.IGNORECASE)
_SHORTEST = 6
"""A value shorter than this is a setting ("1", "true"); hiding it would shred the text."""


def is_secret_name(name: str) -> bool:
    """Whether a variable or an option of this name is taken to hold a secret."""
    return _SECRET_NAME.search(name) is not None


def hide(text: str, env: Mapping[str, str]) -> str:
    """Replace the value of every secret variable of ``env`` in ``text`` by ``<NAME>``.

    Longer values go first, so a secret that contains another leaves nothing behind.
    """
    secrets = [
        (value, name)
        for name, value in env.items()
        if len(value) >= _SHORTEST and is_secret_name(name)
    ]
    for value, name in sorted(secrets, key=lambda pair: -len(pair[0])):
        text = text.replace(value, f"<{name}>")
    return text


def show_command(command: Iterable[str]) -> str:
    """A command as one would type it, the value of an option such as ``--api-key`` hidden."""
    shown: list[str] = []
    hide_next = False
    for word in command:
        option, equals, _ = word.partition("=")
        if hide_next:
            shown.append("<hidden>")
        elif equals and is_secret_name(option):
            shown.append(f"{shlex.quote(option)}=<hidden>")
        else:
            shown.append(shlex.quote(word))
        hide_next = not hide_next and word.startswith("-") and not equals and is_secret_name(word)
    return " ".join(shown)
