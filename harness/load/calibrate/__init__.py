"""How far the emulator's step time is from a running engine: measured, fitted, and said.

`measure` drives an engine in closed loops, `fit` finds the prices of a step that explain what it
answered, and `Calibration` says how well they predict loads that were not fitted.
"""

from harness.load.calibrate.calibration import Calibration, Comparison, calibrate, judge
from harness.load.calibrate.fitting import Prices, fit, predict
from harness.load.calibrate.loads import Load, Request, plan_loads
from harness.load.calibrate.measuring import CalibrateError, Measured, Target, discover, measure

__all__ = [
    "CalibrateError",
    "Calibration",
    "Comparison",
    "Load",
    "Measured",
    "Prices",
    "Request",
    "Target",
    "calibrate",
    "discover",
    "fit",
    "judge",
    "measure",
    "plan_loads",
    "predict",
]
