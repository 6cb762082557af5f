"""The facts of one run: what was run, with what, and whether it came to its end."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from harness.evidence.record import Behind  # noqa: TC001  pydantic reads the annotation
from harness.evidence.store import EvidenceError

RUN_FILE = "run.json"


class RunContext(BaseModel):
    """What every figure of a run has in common.

    ``status`` is ``interrupted`` until the run has said otherwise: written once
    at the start, the file already tells the truth about a run that was killed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, description="Unique and sortable, e.g. 20261121T005845Z-7")
    command: str = Field(description="The command that was typed; typed again, it replays the run")
    started: AwareDatetime
    finished: AwareDatetime | None = None
    status: Literal["complete", "interrupted"] = "interrupted"
    trouble: str = Field(default="", description="What stopped an interrupted run, if known")
    seed: int
    engine: Behind = Field(description="What stood behind the gateway")
    tier: str = Field(default="emulated", description="Which engines were asked for")
    engines: dict[str, Behind] = Field(default_factory=dict, description="Each one's kind, by id")
    versions: dict[str, str] = Field(default_factory=dict)
    config_hash: str = ""

    @property
    def interrupted(self) -> bool:
        """Whether the run stopped before it had asked everything."""
        return self.status == "interrupted"

    @property
    def seconds(self) -> float | None:
        """How long the run took by the wall clock; None where it never said it ended."""
        return None if self.finished is None else (self.finished - self.started).total_seconds()

    def ended(
        self, *, interrupted: bool, at: datetime | None = None, trouble: str = ""
    ) -> RunContext:
        """The same run, at its end (``at``: now, unless given)."""
        return self.model_copy(
            update={
                "finished": at or datetime.now(UTC),
                "status": "interrupted" if interrupted else "complete",
                "trouble": trouble,
            }
        )


def write_run(directory: Path, run: RunContext) -> Path:
    """Write ``run.json`` into ``directory``, whole or not at all, and return its path.

    Raises:
        EvidenceError: it could not be written.
    """
    path = directory / RUN_FILE
    temporary: Path | None = None
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=directory, prefix=".run-", suffix=".json")
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(run.model_dump_json(indent=2) + "\n")
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise EvidenceError(
            f"{path}: the facts of the run could not be written ({error.strerror or error}). "
            "Free some space or choose another --out, then run again."
        ) from error
    return path


def read_run(directory: Path) -> RunContext:
    """The facts of the run whose evidence lies in ``directory``.

    Raises:
        EvidenceError: no ``run.json`` there, or one that is not readable.
    """
    path = directory / RUN_FILE
    try:
        return RunContext.model_validate_json(path.read_bytes())
    except OSError as error:
        raise EvidenceError(
            f"{path}: cannot be read ({error.strerror or error}). "
            "Name the directory of a run; it holds run.json beside evidence.jsonl."
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise EvidenceError(
            f"{path}: {place}: {first['msg']}. The file was edited or written by another version; "
            "run again."
        ) from error
