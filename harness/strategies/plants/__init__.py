"""All planted defects. A new one is a function in a module here: nothing else names it."""

from __future__ import annotations

import importlib
import pkgutil

from harness.strategies.plants.plant import PLANTS, Spot

__all__ = ["PLANTS", "Spot"]

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
