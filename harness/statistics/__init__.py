"""Numbers that carry their own error; shared by every judge that samples."""

from harness.statistics.beta import beta_cdf, beta_quantile
from harness.statistics.bootstrap import Blocks, Bootstrapped, block_length, bootstrap
from harness.statistics.chi_square import chi_square_tail
from harness.statistics.comparison import BLOCK, Comparison, compare, compare_apart, order
from harness.statistics.histogram import Histogram
from harness.statistics.mean import Mean, mean
from harness.statistics.quantile import Estimate, bounding_ranks, quantile, within
from harness.statistics.share import Share, memory, memory_at, share, share_of
from harness.statistics.student import t_quantile

__all__ = [
    "BLOCK",
    "Blocks",
    "Bootstrapped",
    "Comparison",
    "Estimate",
    "Histogram",
    "Mean",
    "Share",
    "beta_cdf",
    "beta_quantile",
    "block_length",
    "bootstrap",
    "bounding_ranks",
    "chi_square_tail",
    "compare",
    "compare_apart",
    "mean",
    "memory",
    "memory_at",
    "order",
    "quantile",
    "share",
    "share_of",
    "t_quantile",
    "within",
]
