"""The main job: one run from sources to evidence, told as events."""

from harness.session.outcome import Outcome, rejudge
from harness.session.phases import PHASES
from harness.session.run import Options, Rehearsal, run

__all__ = ["PHASES", "Options", "Outcome", "Rehearsal", "rejudge", "run"]
