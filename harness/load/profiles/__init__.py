"""Load profiles: what is asked and when, as pure functions of a setting and a number."""

from harness.load.profiles.catalogue import PROFILES
from harness.load.profiles.exact import Exact
from harness.load.profiles.profile import (
    Ask,
    Break,
    Drawn,
    Plan,
    Profile,
    Setting,
    SettingError,
    Target,
    draw,
)
from harness.load.profiles.targets import targets_of
from harness.load.profiles.text import words

__all__ = [
    "PROFILES",
    "Ask",
    "Break",
    "Drawn",
    "Exact",
    "Plan",
    "Profile",
    "Setting",
    "SettingError",
    "Target",
    "draw",
    "targets_of",
    "words",
]
