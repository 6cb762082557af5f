"""Findings, drawn for people, editors and CI. Nothing here decides what is wrong."""

from harness.report.findings.draw import Format, draw, exit_code, put
from harness.report.findings.view import Explained

__all__ = ["Explained", "Format", "draw", "exit_code", "put"]
