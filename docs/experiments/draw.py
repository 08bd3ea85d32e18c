"""Draw every experiment's picture into docs/images, for light and for dark pages.

python docs/experiments/draw.py
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import matplotlib

HERE = Path(__file__).parent
STYLES = {
    "light": {},
    "dark": {
        **{f"{name}.edgecolor": "#c9d1d9" for name in ("axes", "legend")},
        **{f"{name}.color": "#c9d1d9" for name in ("text", "xtick", "ytick")},
        "axes.labelcolor": "#c9d1d9",
        "grid.color": "#444c56",
    },
}
# the same bytes from the same numbers
ALWAYS = {
    "svg.hashsalt": "autoenc",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "savefig.transparent": True,
}


def main() -> None:
    matplotlib.use("agg")
    from matplotlib import pyplot

    sys.path.insert(0, str(HERE.parent.parent))
    for script in sorted(HERE.glob("plot_*.py")):
        for style, settings in STYLES.items():
            with matplotlib.rc_context({**ALWAYS, **settings}):
                runpy.run_path(str(script))
                picture = HERE.parent / "images" / f"{script.stem.removeprefix('plot_')}_{style}.svg"
                pyplot.savefig(picture, metadata={"Date": None})
                pyplot.close("all")
                print(f"{picture.name}: {picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
