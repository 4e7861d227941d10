"""Which orientation every cell of a sheet prefers, from gratings that do not move."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from nwm_jax.data.topography.gratings import evenly_spaced
from nwm_jax.experiments.topography import posteriors
from nwm_jax.models.topography import VariationalNWM
from nwm_jax.training.evaluation import Evaluation, line
from nwm_jax.waves.selectivity import (
    chance_same_label,
    cohens_d,
    orientation_step,
    same_label_fraction,
    selectivity_map,
)
from nwm_jax.waves.singularities import pinwheels

ORIENTATIONS, REPEATS, FRAMES = 8, 64, 36


class OrientationMap(NamedTuple):
    """What every cell prefers.

    Attributes:
      labels: int ``[H, W]``, k for a wave vector at k 22.5 degrees.
      selective: bool ``[H, W]``, where the preference is clear (d >= 0.65).
      d: Cohen's d of every orientation, ``[8, H, W]``.
    """

    labels: np.ndarray
    selective: np.ndarray
    d: np.ndarray


class Orientation(Evaluation[VariationalNWM]):
    """The map of preferred orientations of a model of gratings.

    The response of a cell to a grating is the mean of its position over 36 frames of the
    grating at rest, phase 0; 64 draws from the posterior of each of 8 orientations yield
    the spread that Cohen's d compares the means with.

    Args:
      task: a `Variational` of gratings.
    """

    part = "orientation"

    def __init__(self, task: Any) -> None:
        self._task = task
        self.graphdef = task.graphdef
        self.num_eval = ORIENTATIONS * REPEATS
        self.eval_batch_size = min(32, task.eval_batch_size)

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the gratings, one orientation after the other, again and again."""
        label = np.asarray(indices) % ORIENTATIONS
        angle = evenly_spaced(ORIENTATIONS)[label].astype(np.float32)
        return {
            "orientation": angle,
            "phase": np.zeros_like(angle),
            "label": label,
            "index": np.asarray(indices, np.int32),
        }

    def score(
        self, model: VariationalNWM, batch: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns the responses ``[n, H, W]`` and their labels."""
        images = self._task.source.standing(batch, FRAMES)
        states = posteriors.each(model.states, images, batch["index"])
        return {"responses": states[..., 0].mean(axis=1), "label": batch["label"]}

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns how smooth and how clear the map is.

        Returns:
          {"orientation": {"same_label" (part of the neighbours that prefer the same),
          "chance" (the same of shuffled cells), "step" (mean difference of neighbours,
          degrees), "unselective" (cells below d = 0.65), "cells", "pinwheels", "labels"
          (how many cells prefer each orientation)}}.
        """
        preferred = read_map(scores)
        theta = preferred.labels * (np.pi / ORIENTATIONS)
        counts = np.bincount(preferred.labels.ravel(), minlength=ORIENTATIONS)
        return {
            "orientation": {
                "same_label": same_label_fraction(preferred.labels),
                "chance": chance_same_label(preferred.labels),
                "step": float(np.degrees(orientation_step(theta))),
                "unselective": int(np.sum(~preferred.selective)),
                "cells": int(preferred.labels.size),
                "pinwheels": int(np.count_nonzero(pinwheels(theta))),
                "labels": counts.tolist(),
            }
        }

    @classmethod
    def headline(cls, summary: Mapping[str, Any]) -> list[str]:
        """Formats how smooth and how clear the map is."""
        names = ("same_label", "chance", "unselective", "pinwheels")
        return [line(cls.part, {name: summary[name] for name in names})]


def read_map(scores: dict[str, np.ndarray]) -> OrientationMap:
    """Returns the map of the responses of `Orientation.score`."""
    d = cohens_d(scores["responses"], scores["label"])
    labels, selective = selectivity_map(d)
    return OrientationMap(labels, selective, d)
