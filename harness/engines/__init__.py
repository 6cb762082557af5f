"""Everything that answers: real servers, and the emulator that stands in for one.

Nothing is imported here: the emulator's process starts by importing this package, and has to be
up in a fraction of a second.
"""
