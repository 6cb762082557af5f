"""Numbers that carry their own error; shared by every judge that samples."""

from harness.statistics.bootstrap import Blocks, Bootstrapped, block_length, bootstrap
from harness.statistics.chi_square import chi_square_tail
from harness.statistics.comparison import Comparison, compare, order
from harness.statistics.histogram import Histogram
from harness.statistics.quantile import Estimate, quantile, within
from harness.statistics.student import t_quantile

__all__ = [
    "Blocks",
    "Bootstrapped",
    "Comparison",
    "Estimate",
    "Histogram",
    "block_length",
    "bootstrap",
    "chi_square_tail",
    "compare",
    "order",
    "quantile",
    "t_quantile",
    "within",
]
