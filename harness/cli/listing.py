"""``harness engines``: every engine side by side, real and emulated; or one of the user's own."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NoReturn

import click

from harness.cli.options import json_option, show_json, stop
from harness.cli.remote import show_remote
from harness.engines.engine import EngineError
from harness.engines.recordings.recording import RecordingError
from harness.process.child import ProcessError
from harness.process.ports import PortTaken
from harness.session.inventory import Line, inventory, lacking
from harness.session.remote import TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BEGIN, END = "<!-- measured: harness engines --out -->", "<!-- end of what was measured -->"
_HEAD = (
    *("Engine", "Kind", "Version", "Start-up", "Memory"),
    *("Differences from the real one", "Fidelity error"),
)
_DIALECTS = (
    *("openai", "openai_compatible", "vllm"),
    *("llama_cpp_native", "llama_cpp_python", "ollama"),
)
_SHOWN = {
    "throughput": "throughput",
    "ttft_s": "TTFT p50",
    "e2e_s": "E2E p50",
    "waiting": "waiting",
    "preemptions": "preemptions",
}
"""Figures of a calibration that the table shows, and what they are called there."""
_COLUMNS = {
    "throughput": ("Tokens/s", 1.0, ",.0f"),
    "ttft_s": ("TTFT p50, ms", 1000.0, ",.0f"),
    "e2e_s": ("E2E p50, ms", 1000.0, ",.0f"),
    "waiting": ("Waiting", 1.0, ",.2f"),
    "preemptions": ("Preemptions", 1.0, ",.0f"),
}
"""The same, load by load: heading, factor and format."""
_CALIBRATED = "vLLM"
"""The engine a calibration is of: the only one that tells what a fit needs."""


@click.command()
@click.option(
    "--starts",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Times each engine is started; the median is shown.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Markdown file whose part between {BEGIN} and its end is replaced.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What `harness calibrate URL --out FILE` wrote: its errors go into the table.",
)
@click.option(
    "--remote",
    metavar="URL",
    help="Look at this endpoint of your own instead: only read from, unless --live.",
)
@click.option("--key-env", metavar="VAR", help="Environment variable with the key of --remote.")
@click.option(
    "--dialect",
    metavar="NAME",
    type=click.Choice(_DIALECTS),
    help=f"What --remote speaks, where it should not be found out: {', '.join(_DIALECTS)}.",
)
@click.option("--model", metavar="ID", help="What --live asks for; default: the first it lists.")
@click.option(
    "--live",
    is_flag=True,
    help=f"Ask --remote for one streamed answer of {TOKENS} tokens too: it costs money or load.",
)
@json_option
def engines(
    starts: int,
    out: Path | None,
    calibration: Path | None,
    remote: str | None,
    key_env: str | None,
    dialect: str | None,
    model: str | None,
    live: bool,  # noqa: FBT001 - click calls it by name
    as_json: bool,  # noqa: FBT001 - likewise
) -> None:
    """Measure the installed engines, real and emulated, together.

    Each is started alone. A real server is asked a fixed list of questions and so is its emulated
    twin; their answers are compared field by field. Exit code 1: a difference nobody explained.

    With --remote nothing is started: a server that is not ours is looked at. Exit code 1: it is
    not reached, or its answer is not whole.
    """
    if remote is not None:
        show_remote(remote, key_env, dialect, model, live=live, as_json=as_json)
    if live or key_env or dialect or model:
        stop("--live, --key-env, --dialect and --model speak of a --remote URL: name it.")
    fidelity = None if calibration is None else _calibrated(calibration)
    _side_by_side(starts, out, fidelity, as_json=as_json)


def _side_by_side(
    starts: int, out: Path | None, fidelity: _Fidelity | None, *, as_json: bool
) -> NoReturn:
    if out is not None:
        _region(out)
    absent = lacking()
    if absent:
        click.echo(f"left out: nox -s engines -- {' '.join(absent)}", err=True)
    try:
        lines = asyncio.run(_collect(starts))
    except (EngineError, ProcessError, PortTaken, RecordingError) as error:
        stop(str(error), code=1)
    except KeyboardInterrupt:
        click.echo("interrupted; everything is stopped.", err=True)
        sys.exit(130)
    errors = None if fidelity is None else fidelity.errors
    tables = _table(lines, errors) + ("" if fidelity is None else f"\n\n{fidelity.by_load}")
    if as_json:
        show_json([asdict(line) | {"fidelity": _fidelity(line, errors)} for line in lines])
    else:
        click.echo(tables)
    for line in lines:
        for difference in line.unexplained:
            click.echo(f"unexplained, {line.name}: {difference}", err=True)
    if out is not None:
        before, after = _region(out)
        try:
            out.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}")
        except OSError as error:
            stop(f"{out} cannot be written: {error.strerror}. The tables stand above.", code=1)
    sys.exit(1 if any(line.unexplained for line in lines) else 0)


async def _collect(starts: int) -> list[Line]:
    lines = []
    with tempfile.TemporaryDirectory(prefix="harness-engines-") as folder:
        async for line in inventory(Path(folder), starts=starts):
            lines.append(line)
            click.echo(f"{line.name} ({line.kind}): ready in {line.start_s:.2f} s", err=True)
    return lines


def _region(path: Path) -> tuple[str, str]:
    """What stands before and after the measured part."""
    try:
        text = path.read_text()
    except OSError as error:
        stop(f"{path} cannot be read: {error.strerror}")
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        stop(f"{path} has no place for the table: write the lines {BEGIN} and {END} into it.")
    return before, after


def _table(lines: list[Line], errors: str | None) -> str:
    return _markdown(
        _HEAD,
        (
            (
                *(line.name, line.kind, line.version, _starts(line), _memory(line)),
                *(_differences(line), _fidelity(line, errors)),
            )
            for line in lines
        ),
    )


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def _starts(line: Line) -> str:
    if len(line.starts_s) == 1:
        return f"{line.start_s:.2f} s"
    return f"{line.start_s:.2f} s ({min(line.starts_s):.2f} to {max(line.starts_s):.2f})"


def _memory(line: Line) -> str:
    return f"{line.memory_bytes / 1024**2:,.0f} MiB"


def _differences(line: Line) -> str:
    if line.probes is None:
        return "-"
    return (
        f"{line.probes} questions: {line.explained} explained, {len(line.unexplained)} unexplained"
    )


def _fidelity(line: Line, errors: str | None) -> str:
    """How far the timing of an emulated engine is from the real one."""
    if line.kind != "emulated" or line.probes is None:
        return "-"
    if line.name != _CALIBRATED:
        return "not measured: no step times are fitted to it"
    return errors or "not measured: `harness calibrate URL --out FILE`"


@dataclass(frozen=True, slots=True)
class _Fidelity:
    """A calibration on loads that it was not fitted to."""

    errors: str
    """In one line."""
    by_load: str
    """As a table: what was predicted for what was measured."""


def _calibrated(path: Path) -> _Fidelity:
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        held_out = [load for load in told["loads"] if load["held_out"]]
        parts = [_error(name, held_out, key) for key, name in _SHOWN.items()]
        repetitions = int(told["repetitions"])
        by_load = _markdown(
            ("Load, predicted for measured", *(heading for heading, _, _ in _COLUMNS.values())),
            ([load["name"], *(_cell(load, key) for key in _COLUMNS)] for load in held_out),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        stop(
            f"{path} is no calibration: {error!r}. "
            "Write one with `harness calibrate URL --out FILE`."
        )
    errors = f"{', '.join(parts)}; {len(held_out)} held-out loads, {repetitions} repetitions"
    return _Fidelity(errors, by_load)


def _cell(load: Mapping[str, Any], key: str) -> str:
    _, factor, form = _COLUMNS[key]
    predicted, measured = (load[side][key] * factor for side in ("predicted", "measured"))
    error = load["error"].get(key)
    if error is None:
        return "0" if not predicted else f"{predicted:{form}} for 0"
    return f"{predicted:{form}} for {measured:{form}} ({error:.0%})"


def _error(name: str, loads: list[Mapping[str, Any]], key: str) -> str:
    """The median error of a figure over loads, and its range."""
    found = [float(error) for load in loads if (error := load["error"].get(key)) is not None]
    if not found:
        return f"{name} not measured"
    spread = f" ({min(found):.0%} to {max(found):.0%})" if len(found) > 1 else ""
    return f"{name} {median(found):.0%}{spread}"
