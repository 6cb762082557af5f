"""Numbers that carry their own error; shared by every judge that samples."""

from harness.statistics.beta import beta_cdf, beta_quantile
from harness.statistics.bootstrap import Blocks, Bootstrapped, block_length, bootstrap
from harness.statistics.chi_square import chi_square_tail
from harness.statistics.comparison import BLOCK, Comparison, compare, compare_apart, order
from harness.statistics.histogram import Histogram
from harness.statistics.quantile import Estimate, quantile, within
from harness.statistics.share import Share, memory, share
from harness.statistics.student import t_quantile

__all__ = [
    "BLOCK",
    "Blocks",
    "Bootstrapped",
    "Comparison",
    "Estimate",
    "Histogram",
    "Share",
    "beta_cdf",
    "beta_quantile",
    "block_length",
    "bootstrap",
    "chi_square_tail",
    "compare",
    "compare_apart",
    "memory",
    "order",
    "quantile",
    "share",
    "t_quantile",
    "within",
]
