"""Load profiles: what is asked and when, as pure functions of a setting and a number."""

from harness.load.profiles.catalogue import PROFILES
from harness.load.profiles.profile import Ask, Break, Plan, Profile, Setting, SettingError, Target
from harness.load.profiles.targets import targets_of
from harness.load.profiles.text import words

__all__ = [
    "PROFILES",
    "Ask",
    "Break",
    "Plan",
    "Profile",
    "Setting",
    "SettingError",
    "Target",
    "targets_of",
    "words",
]
