"""Scores of segmentations, of every image, from the sums of `core.segmentation`.

An image has P pixels, F of them in the foreground (of another class than 0); m pixels
have the right answer, m_F of the foreground.
"""

from collections.abc import Mapping

import numpy as np

#: The names of the scores of `scores`, in the order in which they are shown.
SCORES = (
    "cross_entropy",
    "accuracy",
    "accuracy_foreground",
    "iou",
    "iou_foreground",
    "iou_classes",
    "iou_legacy",
    "cross_entropy_foreground",
)


def scores(sums: Mapping[str, np.ndarray], num_pixels: int) -> dict[str, np.ndarray]:
    """Returns scores of every image; NaN where an image has no foreground.

    Args:
      sums: of `core.segmentation.all_sums`, ``[N]`` and ``[N, K]``.
      num_pixels: P.

    Returns:
      Float64 ``[N]`` each:

      - cross_entropy, cross_entropy_foreground: means over pixels.
      - accuracy = m / P; accuracy_foreground = m_F / F.
      - iou = m / (2 P - m): intersection over union of all pixels and classes together;
        iou_foreground = m_F / (2 F - m_F), which knows nothing of false alarms.
      - iou_classes: the mean of the intersections over unions of the classes other than
        the background that are there or were answered.
      - iou_legacy: sums over pixels of the bitwise and, over the or, of the numbers of
        the classes: no intersection over union, but what published tables of
        arXiv:2502.06034 hold under that name.
    """
    sums = {name: np.asarray(value, np.float64) for name, value in sums.items()}
    right, foreground = sums["right"], sums["foreground"]
    seen = np.where(foreground > 0, foreground, np.nan)
    recall = sums["foreground_right"] / seen
    both = sums["both"][:, 1:]
    union = sums["truth"][:, 1:] + sums["answers"][:, 1:] - both
    there = union > 0
    each = np.where(there, both / np.where(there, union, 1), 0).sum(axis=1)
    bits = np.where(sums["bits_or"] > 0, sums["bits_or"], np.nan)
    return {
        "cross_entropy": sums["cross_entropy"] / num_pixels,
        "accuracy": right / num_pixels,
        "accuracy_foreground": recall,
        "iou": right / (2 * num_pixels - right),
        "iou_foreground": recall / (2 - recall),
        "iou_classes": each / np.where(there.any(axis=1), there.sum(axis=1), np.nan),
        "iou_legacy": sums["bits_and"] / bits,
        "cross_entropy_foreground": sums["foreground_cross_entropy"] / seen,
    }


def background(truth: np.ndarray) -> dict[str, float]:
    """Returns the scores of a constant answer of "background".

    Args:
      truth: pixels of every class, ``[N, K]``, of `core.segmentation.all_sums`.

    Returns:
      accuracy and iou as `scores`, means over images, where the answer is class 0; and
      cross_entropy, the least of any answer that is the same for all pixels: the entropy
      of the classes.
    """
    truth = np.asarray(truth, np.float64)
    pixels = truth.sum(axis=1)
    right = truth[:, 0]
    share = truth.sum(axis=0) / truth.sum()
    share = share[share > 0]
    return {
        "accuracy": float(np.mean(right / pixels)),
        "iou": float(np.mean(right / (2 * pixels - right))),
        "cross_entropy": float(-np.sum(share * np.log(share))),
    }
