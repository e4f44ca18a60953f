"""What a network makes of pictures before its last layer: as vectors, laid out in a plane.

scikit-learn is imported when a plane is asked for.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from neocog.analysis.listening import outputs, read_by

PERPLEXITY = 30.0  # of t-SNE, at most
AT_ONCE = 1024  # rows


@torch.no_grad()
def vectors(network: nn.Module, inputs: Tensor, *, layer: str, reads: bool = False) -> Tensor:
    """What a layer puts out, or with `reads` what it is given, as (N, D); maps are averaged over
    their positions.
    """
    one = [layer]
    found = read_by(network, inputs, layer) if reads else outputs(network, inputs, one)[layer]
    return (found.mean((2, 3)) if found.ndim == 4 else found.flatten(1)).float()


def pca(points: np.ndarray) -> tuple[np.ndarray, float]:
    """The two directions of most variance (N, 2), and what share of the variance they hold."""
    from sklearn.decomposition import PCA

    most = min(2, *points.shape)
    spread = points.var(axis=0).sum()
    if most < 1 or not spread > 0:
        return np.zeros((len(points), 2)), 0.0
    fitted = PCA(most, random_state=0)
    laid = fitted.fit_transform(points)
    share = float(np.sum(fitted.explained_variance_ratio_))
    return np.pad(laid, ((0, 0), (0, 2 - most))), share


def tsne(points: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """A plane (N, 2) in which near ones stay near; distances between groups mean nothing.

    van der Maaten and Hinton 2008, JMLR 9; begun from the PCA, so that one seed gives one picture.
    """
    from sklearn.manifold import TSNE

    if len(points) < 4 or not points.var(axis=0).sum() > 0:
        return pca(points)[0]
    few = min(PERPLEXITY, (len(points) - 1) / 3)
    start = "pca" if points.shape[1] >= 2 else "random"
    laid: np.ndarray = TSNE(2, perplexity=few, init=start, random_state=seed).fit_transform(points)
    return laid


def nearest(points: np.ndarray, among: np.ndarray, *, itself: bool = False) -> np.ndarray:
    """The place in `among` (M, D) that is nearest by angle to each of `points` (N, D): (N,). With
    `itself` both are the same pictures, and none is its own neighbour.
    """
    one, other = _directions(points), _directions(among)
    found = np.empty(len(one), np.int64)
    for first in range(0, len(one), AT_ONCE):
        cosine = one[first : first + AT_ONCE] @ other.T
        if itself:
            rows = np.arange(len(cosine))
            cosine[rows, first + rows] = -np.inf
        found[first : first + AT_ONCE] = cosine.argmax(1)
    return found


def cosines(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each pair of rows (N, D): (N,), 1 for the same direction."""
    return np.asarray((_directions(points) * _directions(others)).sum(1))


def neighbours_agree(points: np.ndarray, labels: np.ndarray) -> float:
    """The share of pictures whose nearest other picture is of their own class."""
    if len(points) < 2:
        return 0.0
    return float((labels[nearest(points, points, itself=True)] == labels).mean())


def _directions(points: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points / np.maximum(lengths, 1e-12), dtype=np.float32)
