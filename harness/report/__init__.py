"""Evidence, drawn for people and for CI. Nothing here measures or decides."""

from harness.report.html import page
from harness.report.junit import junit
from harness.report.markdown import markdown
from harness.report.terminal import draw
from harness.report.write import ReportError, verdict, write_all

__all__ = ["ReportError", "draw", "junit", "markdown", "page", "verdict", "write_all"]
