"""
Quality against the time to fit
===============================

Each model's nDCG@100 against the processor time of its fit, from the results stored by `python -m benchmarks.ranking`.
"""

from benchmarks.ranking.chart import draw
from benchmarks.ranking.page import stored
from benchmarks.ranking.plans import PLANS

draw(list(stored().values()), PLANS)
