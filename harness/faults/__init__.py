"""The ways to misbehave: what each is called, how it is set, and what it does to an answer.

A new fault is a class with one decorator, in any module of this folder: every module is found, in
the harness's process and in that of an engine that can misbehave.
"""

from harness.faults.fault import (
    Fault,
    FaultError,
    Layer,
    catalogue,
    find,
    from_wire,
    parse,
    register,
)

__all__ = ["Fault", "FaultError", "Layer", "catalogue", "find", "from_wire", "parse", "register"]
