"""The JSON Schemas of all of ``config/``: ``python -m harness.cli.schemas FOLDER`` writes them."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.claims import Claims
from harness.registry.schemas import export
from harness.session.outcome import CLAIMS

BESIDE = {CLAIMS: Claims}
"""Files beside the sources that have a schema too, with their models."""


def main(arguments: list[str]) -> None:
    """Write the schemas into a folder; it is made if it is not there."""
    if len(arguments) != 1:
        sys.exit("usage: python -m harness.cli.schemas FOLDER")
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in export(BESIDE).items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
