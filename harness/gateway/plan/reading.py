"""The generated files as they stand on disk or are about to be written, parsed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from harness.gateway.plan.values import PlanError

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 64 * 1024 * 1024
"""Bytes; ten thousand models take about four million."""

_DEEPEST = 60
_REMEDY = "Restore it with `harness backup restore`, or write it anew with `harness generate`."
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text(path: Path) -> str | None:
    """The text of a file, None where there is none.

    Raises:
        PlanError: it cannot be read, is larger than `LARGEST`, or is no UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PlanError(
            f"{path}: cannot be read ({error.strerror}), so what would change is unknown. "
            "Fix the permissions, then plan again."
        ) from error
    if len(data) > LARGEST:
        raise PlanError(f"{path}: larger than any generated file ({LARGEST} bytes). {_REMEDY}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: no UTF-8 text at byte {error.start}. {_REMEDY}") from error


def parse_config(text: str, where: str) -> dict[str, Any]:
    """A LiteLLM configuration from its YAML; ``where`` names it in errors.

    Raises:
        PlanError: no YAML, or no mapping; with the line.
    """
    try:
        _refuse_deep(text, where)
        # A SafeLoader in C where there is one: ten thousand models take a second, not twenty.
        loaded = yaml.load(text, Loader=_Loader)  # noqa: S506
    except PlanError:
        raise
    except yaml.MarkedYAMLError as error:
        last = text.count("\n") + 1
        line = min(error.problem_mark.line + 1, last) if error.problem_mark else 1
        raise PlanError(
            f"{where}:{line}: no YAML ({error.problem}). {_REMEDY}", line=line
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise PlanError(f"{where}: no YAML ({type(error).__name__}). {_REMEDY}") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise PlanError(f"{where}: no mapping, but a {type(loaded).__name__}. {_REMEDY}")
    return loaded


def parse_env(text: str) -> dict[str, str]:
    """The variables an environment file sets: ``NAME=value`` lines; others are comments."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _refuse_deep(text: str, where: str) -> None:
    """Nesting is counted from the events, because the C loader overruns its stack on it."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise PlanError(
                f"{where}:{line}: nested deeper than {_DEEPEST} levels. {_REMEDY}", line=line
            )
