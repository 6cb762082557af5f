"""Numbers that carry their own error; shared by every judge that samples."""

from harness.statistics.chi_square import chi_square_tail
from harness.statistics.quantile import Estimate, quantile, within

__all__ = ["Estimate", "chi_square_tail", "quantile", "within"]
