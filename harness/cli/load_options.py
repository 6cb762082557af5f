"""Options that the commands of ``harness load`` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Share(click.ParamType[float]):
    """A share such as 5% or 0.05."""

    name = "SHARE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The share of 1."""
        text = str(value).strip()
        try:
            number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{text!r} is no share: write 5% or 0.05.", param, ctx)
        if not 0 < number < 1:
            self.fail(f"{text} is not between 0 and 100 %.", param, ctx)
        return number


ABOVE_0 = click.FloatRange(min=0, min_open=True)

model_option = click.option("--model", help="Default: the first name that is routed.")
_prompt = click.option(
    "--prompt-tokens", type=click.IntRange(1, 1_000_000), default=64, show_default=True
)
_prompts = click.option(
    "--prompts",
    type=click.Choice(["words", "chat", "ids"]),
    default="words",
    show_default=True,
    help="words: so many common words, to which a chat template adds; chat: exactly so many "
    "tokens, template included, of words that the server's tokenizer knows; ids: exactly so many "
    "token ids, to /completions.",
)
_tokenizer = click.option(
    "--tokenizer",
    "tokenizer_url",
    metavar="URL",
    help="API root of the server that counts them. Default: the engine itself.",
)
_answer = click.option(
    "--answer-tokens", type=click.IntRange(1, 1_000_000), default=32, show_default=True
)
_key = click.option(
    "--key-env", "key_variable", metavar="VAR", help="Environment variable with the API key."
)
_live = click.option(
    "--live", is_flag=True, help="Load a server that is not this machine. It costs its owner."
)
_name = click.option("--name", help="Of the folder under --out.")
_out = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports") / "load",
    show_default=True,
)
_seed = click.option("--seed", default=1, show_default=True, help="Same seed, same load.")


def asking_options(command: Callable[..., T]) -> Callable[..., T]:
    """What is asked for, how it is counted, with which key, and where it is written down."""
    options = (_prompt, _prompts, _tokenizer, _answer, _key, _live, _name, _out, _seed)
    for option in reversed(options):
        command = option(command)
    return command
