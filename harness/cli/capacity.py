"""``harness capacity``: how many requests of a length a card holds at a time."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

import click

from harness.cli.options import EXIT_USAGE, json_option, show_json, stop
from harness.load.capacity.arithmetic import (
    CACHE_BYTES,
    DEFAULT_UTILISATION,
    Ask,
    Fit,
    fit,
    variants,
)
from harness.load.capacity.catalogue import card, cards, model, models
from harness.load.capacity.geometry import GIB, CapacityError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(GiB|MiB|GB|MB)?", re.IGNORECASE)
_UNITS = {"gib": GIB, "mib": 1024**2, "gb": 10**9, "mb": 10**6}
_MOST_MEMORY = 1024**2 * GIB
_DEFAULT_RESERVE = int(1.5 * GIB)


class Size(click.ParamType[int]):
    """A size in memory such as 16GiB or 5.2GB; a bare number is GiB."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes of the text."""
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no size: write 16GiB or 5.2GB.", param, ctx)
        return int(float(found[1]) * _UNITS[(found[2] or "GiB").lower()])


@click.command("capacity")
@click.option("--gpu", "gpu", metavar="CARD", help="A card that `--list` names.")
@click.option("--memory", type=Size(), help="Memory of the card, as programs see it.")
@click.option(
    "--model",
    "name",
    metavar="NAME|FILE",
    help="A model that `--list` names, or a config.json, or the folder that holds one.",
)
@click.option(
    "--len",
    "length",
    type=click.IntRange(min=1),
    default=4096,
    show_default=True,
    help="Tokens of a request, prompt and answer together (--max-model-len).",
)
@click.option(
    "--gpu-memory-utilization",
    "utilisation",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=DEFAULT_UTILISATION,
    show_default=True,
    help="Share of the memory that the engine may use; the default is vLLM's.",
)
@click.option(
    "--kv-cache-dtype",
    "cache_dtype",
    type=click.Choice(tuple(CACHE_BYTES)),
    default="auto",
    show_default=True,
    help="Precision of the KV cache.",
)
@click.option("--weights", "weight_bytes", type=Size(), help="What the weights take, if known.")
@click.option(
    "--reserved",
    "reserved_bytes",
    type=Size(),
    help="Activations, graphs and the rest; by default an estimate for the card.",
)
@click.option("--block-size", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("--gpus", type=click.IntRange(min=1), default=1, help="Cards that share the model.")
@click.option("--max-num-seqs", type=click.IntRange(min=1), help="Sequences that may run at once.")
@click.option("--max-num-batched-tokens", type=click.IntRange(min=1), help="Tokens of a step.")
@click.option("--list", "listing", is_flag=True, help="Show the cards and models known by name.")
@json_option
def capacity_(
    gpu: str | None,
    memory: int | None,
    name: str | None,
    length: int,
    utilisation: float,
    cache_dtype: str,
    weight_bytes: int | None,
    reserved_bytes: int | None,
    block_size: int,
    gpus: int,
    max_num_seqs: int | None,
    max_num_batched_tokens: int | None,
    listing: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    r"""Say how many requests of a length fit on a card, and why.

    It is the arithmetic of vLLM (0.32), each step shown with its source: geometry, KV bytes of a
    token, blocks, concurrency; then what fp8, utilisation and length would change. How fast they
    run is another question: `harness forecast`.

    Exit code 1: the model leaves no room for a cache.

    \b
    harness capacity --gpu rtx5000-16g --model qwen2.5-coder-7b-awq --gpu-memory-utilization 0.85
    """
    try:
        if listing:
            _list(as_json=as_json)
            return
        if name is None or (gpu is None and memory is None):
            stop("give --model and --gpu (or --memory); `harness capacity --list` shows both.")
        if memory is not None and not 0 < memory <= _MOST_MEMORY:
            stop(f"--memory is {memory / GIB:g} GiB: give more than 0 and at most 1048576GiB.")
        known = card(gpu) if gpu is not None else None
        planned = model(name, weight_bytes=weight_bytes)
        ask = Ask(
            memory_bytes=memory or (known.hardware.memory_bytes if known else 0),
            memory_source=known.title if known and memory is None else "given",
            length=length,
            utilisation=utilisation,
            reserved_bytes=_reserve(reserved_bytes, known.reserved_bytes if known else None),
            reserved_source="given" if reserved_bytes is not None else "estimate",
            cache_dtype=cache_dtype,
            block_size=block_size,
            gpus=gpus,
            batched_tokens=max_num_batched_tokens or (known.step_tokens if known else None),
            max_num_seqs=max_num_seqs or (known.seats if known else None),
        )
        found = fit(planned, ask)
    except CapacityError as error:
        stop(f"{error} [{error.id}]", code=1 if error.id == "capacity.no-room" else EXIT_USAGE)
    if as_json:
        show_json(_data(found))
    else:
        _show(found)


def _reserve(given: int | None, of_card: int | None) -> int:
    if given is not None:
        return given
    return _DEFAULT_RESERVE if of_card is None else of_card


def _list(*, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "cards": {key: asdict(one) for key, one in cards().items()},
                "models": {
                    key: {
                        "parameters": one.parameters,
                        "weight_bytes": one.weight_bytes,
                        "layers": len(one.layers),
                        "context_length": one.context_length,
                    }
                    for key, one in models().items()
                },
            }
        )
        return
    click.echo("cards (--gpu)")
    for key, each in cards().items():
        click.echo(f"  {key:<22}{each.hardware.memory_bytes / GIB:>6.0f} GiB  {each.title}")
    click.echo("models (--model)")
    for key, one in models().items():
        click.echo(
            f"  {key:<22}{one.weight_bytes / GIB:>6.1f} GiB  {one.parameters / 1e9:.2f} billion "
            f"parameters, {len(one.layers)} layers, context {one.context_length:,}"
        )


def _data(found: Fit) -> dict[str, Any]:
    return {
        "model": found.model.name,
        "requests": found.requests,
        "concurrency": found.concurrency,
        "cache_tokens": found.tokens,
        "blocks": found.blocks,
        "blocks_per_request": found.blocks_per_request,
        "kv_bytes_per_token": found.kv_bytes_per_token,
        "bytes_per_block": found.bytes_per_block,
        "ask": asdict(found.ask),
        "groups": [asdict(group) for group in found.groups],
        "steps": [asdict(step) for step in found.steps],
        "variants": [
            {
                "change": one.change,
                "requests": one.fit.requests if one.fit else 0,
                "concurrency": one.fit.concurrency if one.fit else 0.0,
                "cache_tokens": one.fit.tokens if one.fit else 0,
            }
            for one in variants(found.model, found.ask)
        ],
    }


def _show(found: Fit) -> None:
    ask = found.ask
    click.echo(
        f"{found.requests:,} requests of {ask.length:,} tokens run at a time "
        f"({found.concurrency:.2f}x); one more waits."
    )
    if found.requests == ask.seats:
        click.echo(f"The limit is max_num_seqs ({ask.seats}), not the memory.")
    click.echo(f"{found.model.name}, KV cache of {found.tokens:,} tokens\n")
    for step in found.steps:
        value = f"{step.value:,.3f}" if step.unit == "GiB" else f"{step.value:,.2f}"
        value = f"{value.removesuffix('.00') if step.unit != 'GiB' else value} {step.unit}".strip()
        click.echo(f"{step.name:<22}{value:>14}  {step.formula}  [{step.source}]")
    if len(found.groups) > 1:
        windows = sum(group.window is not None for group in found.groups)
        click.echo(
            f"\n{len(found.groups)} groups of layers draw blocks from one pool, {windows} of them "
            "behind a window."
        )
    click.echo(f"\n{'':<22}{'requests':>10}{'printed':>12}{'tokens':>14}")
    for one in variants(found.model, ask):
        if one.fit is None:
            click.echo(f"{one.change:<22}{'0':>10}{'nothing fits':>26}")
        else:
            click.echo(
                f"{one.change:<22}{one.fit.requests:>10,}{one.fit.concurrency:>11.2f}x"
                f"{one.fit.tokens:>14,}"
            )
