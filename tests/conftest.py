"""One profile for all property tests: no wall time, and in CI no surprises."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A deadline is a wall time, and these machines are shared; so is the speed of generation.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
