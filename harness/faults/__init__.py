"""The ways to misbehave, as a typed catalogue; who injects one is told through its wire form.

A new fault is a class with one decorator, in any module of this folder: every module is found.
"""

from harness.faults.fault import Fault, FaultError, Layer, catalogue, find, parse, register

__all__ = ["Fault", "FaultError", "Layer", "catalogue", "find", "parse", "register"]
