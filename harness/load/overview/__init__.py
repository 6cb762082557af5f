"""What a load left behind, summed up in bounded memory.

`summary` is a table of figures, `timeline` the course of a load, `staircase` the figures of each
level; `overview` is all of it together, as a report draws it.
"""
