"""Options that the commands of ``harness load`` share."""

from __future__ import annotations

from pathlib import Path

import click


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
prompt_option = click.option(
    "--prompt-tokens", type=click.IntRange(1, 1_000_000), default=64, show_default=True
)
answer_option = click.option(
    "--answer-tokens", type=click.IntRange(1, 1_000_000), default=32, show_default=True
)
key_option = click.option(
    "--key-env", "key_variable", metavar="VAR", help="Environment variable with the API key."
)
live_option = click.option(
    "--live", is_flag=True, help="Load a server that is not this machine. It costs its owner."
)
name_option = click.option("--name", help="Of the folder under --out.")
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports") / "load",
    show_default=True,
)
seed_option = click.option("--seed", default=1, show_default=True, help="Same seed, same load.")
