"""How well suspects are ranked, and how sure a mean of repeats is."""

import numpy as np
from numpy.typing import NDArray


def auc(score: NDArray[np.float64], guilty: NDArray[np.bool_]) -> float:
    """Chance that a guilty member scores above an honest one, ties half; NaN scores below all. (n,), (n,)"""
    score = np.nan_to_num(score, nan=-1e12)
    above = (score[guilty][:, None] > score[~guilty]).mean()
    return float(above + 0.5 * (score[guilty][:, None] == score[~guilty]).mean())


def precision(score: NDArray[np.float64], guilty: NDArray[np.bool_], first: int = 3) -> float:
    """Share of the guilty among the first. (n,), (n,)"""
    return float(guilty[np.argsort(-np.nan_to_num(score, nan=-1e12), kind="stable")[:first]].mean())


def interval(values: NDArray[np.float64], seed: int = 1) -> tuple[float, float, float]:
    """Mean over repeats, and its 90 % interval by bootstrap (5,000 draws of the repeats). (r,)"""
    rng = np.random.default_rng(seed)
    means = values[rng.integers(0, len(values), (5000, len(values)))].mean(axis=1)
    return float(values.mean()), float(np.quantile(means, 0.05)), float(np.quantile(means, 0.95))
