"""
Quality against the time to fit
===============================

Each model's nDCG@100 by the processor seconds of its fit, from what `benchmarks/quality.py --protocol` has stored.
"""

import sys
from pathlib import Path

import autoenc

BENCHMARKS = Path(autoenc.__file__).parents[1] / "benchmarks"
sys.path.append(str(BENCHMARKS))

from ranking_chart import draw  # noqa: E402
from ranking_page import stored  # noqa: E402
from ranking_plans import PLANS  # noqa: E402

draw(list(stored().values()), PLANS)
