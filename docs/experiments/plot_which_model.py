"""
Quality against the time to fit
===============================

Each model's nDCG@100 by the processor seconds of its fit, from what `python -m benchmarks.ranking` has stored.
"""

from benchmarks.ranking.chart import draw
from benchmarks.ranking.page import stored
from benchmarks.ranking.plans import PLANS

draw(list(stored().values()), PLANS)
