"""The profile `soak`; what it does is said in `harness.load.profiles.catalogue`."""

from harness.load.locusts.play import play
from harness.load.profiles import PROFILES

LoadUser, LoadShape = play(PROFILES["soak"])
