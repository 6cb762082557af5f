"""``python -m harness.engines.installs``: install, list and remove what the real engines need."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from harness.engines.installs import KNOWN, Installation, InstallError
from harness.engines.installs.installation import install_command
from harness.engines.installs.stamp import folder_bytes, megabytes

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; 0 done, 1 something was not installed, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="nox -s engines --",
        description="Install, list and remove what the real engines need, in the user's cache.",
        epilog=f"NAME is {', '.join(KNOWN)} or all. Without arguments: list.",
    )
    parser.add_argument("words", nargs="*", metavar="list | NAME... | remove NAME...")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    given = parser.parse_args(arguments)
    words: list[str] = given.words
    verb = words.pop(0) if words and words[0] in {"list", "remove"} else "install"
    names = [*KNOWN] if "all" in words else [*dict.fromkeys(words)]
    if unknown := [name for name in names if name not in KNOWN]:
        parser.error(f"no engine {', '.join(unknown)}; there are {', '.join(KNOWN)} and all")
    if verb == "remove" and not names:
        parser.error("remove what? Name an engine, or all")
    try:
        failed = [] if verb == "list" else [name for name in names if not _done(verb, name)]
    except KeyboardInterrupt:
        _say("stopped; nothing was left running. The same command goes on from here.")
        return 130
    if given.json:
        json.dump([_facts(KNOWN[name]) for name in names or KNOWN], sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif verb == "list" or not names:
        _table([KNOWN[name] for name in names or KNOWN])
    if failed:
        _say(f"not done: {', '.join(failed)}")
    return 1 if failed else 0


def _done(verb: str, name: str) -> bool:
    engine = KNOWN[name]
    try:
        if verb == "remove":
            _say(f"{name}: removed, {megabytes(engine.remove())} freed")
        else:
            there = engine.installed()
            location = engine.install(_say)
            if there:
                _say(f"{name} {engine.version}: installed already, in {location}")
    except InstallError as error:
        _say(f"\nerror {error.id}: {error}\n")
        return False
    return True


def _facts(engine: Installation) -> dict[str, object]:
    state = engine.state()
    return {
        "name": engine.name,
        "summary": engine.summary,
        "version": engine.version,
        "state": state,
        "bytes": engine.size_bytes(),
        "location": str(engine.location()),
        "programs": {name: str(path) for name, path in engine.programs().items()},
        "others": [str(folder) for folder in engine.others()],
        "install": install_command(engine.name),
        "remove": f"nox -s engines -- remove {engine.name}",
    }


def _table(engines: Sequence[Installation]) -> None:
    rows = [("engine", "version", "state", "size", "where, or what it would take")]
    for engine in engines:
        state, size = engine.state(), engine.size_bytes()
        where = engine.expected() if state == "absent" else str(engine.location())
        shown = megabytes(size) if size else "-"
        rows.append((engine.name, engine.version, state, shown, where))
        for folder in engine.others():
            old = megabytes(folder_bytes(folder))
            rows.append(("", "", "other build", old, str(folder)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)]
        sys.stdout.write("  ".join([*cells, row[4]]).rstrip() + "\n")
    sys.stdout.write(
        "\ninstall: nox -s engines -- NAME... or all\n"
        "remove:  nox -s engines -- remove NAME... (unfinished and other builds as well)\n"
    )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
