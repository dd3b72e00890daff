"""How every figure looks: the colours, the metrics' names in print, and one seaborn theme that leaves the user's own settings alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import matplotlib.pyplot as plt
import seaborn
from matplotlib.figure import Figure

# Name in a row's result, name in print, the direction that is better for the user whose face it is, decimals.
METRICS = (
    ("mean_mcc", "mean MCC", "↑", 3),
    ("face_similarity", "face similarity", "↓", 3),
    ("embedding_similarity", "embedding similarity", "↓", 3),  # of pictures, where several judges look at them
    ("feature_similarity", "feature similarity", "↓", 3),
    ("ssim", "SSIM", "↓", 3),
    ("psnr", "PSNR, dB", "↓", 2),
    ("within_variance", "within-class variance S_w", "", 2),
    ("between_variance", "between-class variance S_b", "", 2),
    ("lda_score", "LDA score S_b / S_w", "↓", 3),
)
# The same of an audit: what the strongest of its attackers gets, and the people whom any of the chosen finds.
AUDITED = (
    ("strongest_similarity", "face similarity by the strongest", "↓", 3),
    ("strongest_beyond", "the same beyond the answers", "↓", 3),
    ("strongest_rank1", "rank-1 by the strongest", "↓", 3),
    ("found", "people found by any", "↓", 3),
    ("found_beyond", "the same beyond answers and chance", "↓", 3),
)
NAMES = {key: (name, arrow, decimals) for key, name, arrow, decimals in (*METRICS, *AUDITED)}

INK = "#222222"
# Okabe and Ito: safe for colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
WIDTH = 7.0  # inches: the text width of a two-column page

SETTINGS = {
    # What text is drawn with is looked up when the figure is saved, outside the theme: so it is matplotlib's own.
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.0,
    "axes.labelsize": 8.0,
    "axes.titlesize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.title_fontsize": 7.0,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelcolor": INK,
    "text.color": INK,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.0,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
}

Parameters = ParamSpec("Parameters")


@contextmanager
def theme() -> Iterator[None]:
    """Within, figures have our look; afterwards matplotlib's settings are again what they were."""
    with plt.rc_context():
        seaborn.set_theme(context="paper", style="ticks", palette=COLOURS, color_codes=False, rc=SETTINGS)
        yield


def themed(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """A function that draws, in our `theme`. Its figure is no longer open in pyplot: a notebook shows it once, as the cell's last value."""

    @wraps(draw)
    def within(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Figure:
        with theme():
            figure = draw(*args, **kwargs)
        plt.close(figure)
        return figure

    return within
