"""``harness init`` and ``import``: the first sources, from what runs or from what is written."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import json_option, show_findings, show_json, stop
from harness.contract import deviations
from harness.contract.drafting import draft_ledger
from harness.discovery import Discovered, discover
from harness.gate import draft_policy
from harness.gateway.files import write
from harness.gateway.litellm_import import Imported, Kind, import_config
from harness.registry import RegistryError, examine, load
from harness.report.findings import Format
from harness.wire import RecordingClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.registry.models import Ports

_KNOWN = Path(__file__).resolve().parents[2] / "config"
"""Sources whose ledger says what is known of servers of each kind."""

into_option = click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("config"),
    show_default=True,
    help="Folder that gets the sources; files in it are never overwritten.",
)
print_option = click.option("--print", "only_print", is_flag=True, help="Print, write nothing.")


@click.command()
@click.argument("addresses", nargs=-1, metavar="[http://HOST:PORT]...")
@click.option(
    "--ports-of",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Ask the services of the ports.yaml in this folder of sources.",
)
@into_option
@print_option
@json_option
def init(
    addresses: tuple[str, ...],
    ports_of: Path | None,
    into: Path,
    only_print: bool,  # noqa: FBT001 - click calls it by name
    as_json: bool,  # noqa: FBT001 - likewise
) -> None:
    """Ask running servers what they are, and write first sources.

    Only reads are sent: no model is loaded and no token generated.
    """
    if not addresses and ports_of is None:
        stop("name the servers to ask (http://127.0.0.1:PORT), or --ports-of FOLDER.")
    try:
        where: Ports | tuple[str, ...] = addresses if ports_of is None else load(ports_of).ports
    except RegistryError as error:
        sys.exit(show_findings(error.findings, form=Format.TEXT.value, defect=2))
    found = asyncio.run(_ask(where))
    servers = [
        {"address": s.endpoint, "kind": s.kind, "version": s.version, "models": list(s.models)}
        | ({"problem": s.problem} if s.problem else {})
        for s in found.servers
    ]
    if as_json:
        show_json({"servers": servers, "sources": dict(found.sources)})
    else:
        for s in found.servers:
            version = f" {s.version}" if s.version else ""
            told = s.problem or f"{len(s.models)} models: {', '.join(s.models)}"
            click.echo(f"{s.endpoint}  {s.kind or 'nobody'}{version}  {told}", err=True)
    if not found.sources:
        stop("no server that was asked lists a model: nothing to write.", code=1)
    if not as_json:
        _keep(found.sources, into, only_print=only_print)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@into_option
@print_option
@json_option
def import_(
    file: Path,
    into: Path,
    only_print: bool,  # noqa: FBT001 - click calls it by name
    as_json: bool,  # noqa: FBT001 - likewise
) -> None:
    """Turn an existing LiteLLM config.yaml into sources.

    Every field of it is accounted for.
    """
    imported = import_config(file)
    if as_json:
        show_json(
            {
                "sources": dict(imported.sources),
                "fields": [
                    {"place": str(f.place), "kind": str(f.kind), "note": f.note}
                    for f in imported.fields
                ],
            }
        )
    else:
        show_findings(imported.findings, form=Format.TEXT.value, strict=True, defect=1)
        click.echo(_summary(imported), err=True)
    if not imported.sources:
        sys.exit(1)
    if not as_json:
        _keep(imported.sources, into, only_print=only_print)


async def _ask(where: Ports | tuple[str, ...]) -> Discovered:
    async with RecordingClient() as client:
        return await discover(where, client)


def _summary(imported: Imported) -> str:
    return ", ".join(f"{imported.count(kind)} {kind}" for kind in Kind) + " fields."


def _with_policy(sources: Mapping[str, str]) -> dict[str, str]:
    """The sources, and what blocks: a first policy and what is known of such servers."""
    registry, _ = examine({name: text.encode() for name, text in sources.items()})
    if registry is None or not _KNOWN.is_dir():
        return dict(sources)
    known = deviations.load(_KNOWN / "deviations.yaml")
    return {
        **sources,
        "gates.yaml": draft_policy(registry),
        "deviations.yaml": draft_ledger(known, load(_KNOWN), registry),
    }


def _keep(sources: Mapping[str, str], into: Path, *, only_print: bool) -> None:
    sources = _with_policy(sources)
    if only_print:
        for name, content in sources.items():
            click.echo(f"# ---- {name}\n{content}")
        return
    there = [name for name in sources if (into / name).exists()]
    if there:
        stop(
            f"{into} holds {', '.join(there)} already, and nothing is overwritten. "
            "Choose another folder with --into, or --print."
        )
    try:
        for path in write(into, sources):
            click.echo(f"written: {path}")
    except OSError as error:
        stop(f"{error}. Free some space or choose another --into.", code=1)
    click.echo(
        f"next: look at the lines marked UNKNOWN, then harness validate, generate and run, "
        f"each with --config {into}"
    )
