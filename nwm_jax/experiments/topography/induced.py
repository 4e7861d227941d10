"""Waves that are put into a state: roll it round its rings, decode, read the angle."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.data.topography.rotation import PERIOD, STEP
from nwm_jax.experiments.topography import posteriors
from nwm_jax.models.topography import VariationalNWM
from nwm_jax.training.evaluation import Evaluation, line
from nwm_jax.waves.induced import roll_rings, slope

#: Degrees between the rotations that a decoded picture is compared with.
GRAIN = 5.0
_EXAMPLES = 100


def induce(
    model: VariationalNWM,
    images: jax.Array,
    indices: jax.Array,
    velocity: float,
    num_frames: int = PERIOD,
) -> jax.Array:
    """Decodes the last state of sequences as a wave carries it round its rings.

        y_t = decoder(shift(x_T, velocity t)),    t = 0, 1, ...

    No dynamics and no input: only the positions move, towards higher indices, against
    the way that activity travels by itself.

    Args:
      model: whose positions lie on rings (or a torus: along its rows).
      images: the sequences that lead to x_T, ``[B, T, h, w, 1]``.
      indices: a number for every sequence, of its draws, ``[B]``.
      velocity: cells per step, of any sign; between whole cells it is blended.
      num_frames: how many pictures.

    Returns:
      Probabilities of pixels, ``[B, num_frames, h, w, 1]``.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), section 4.4
    and figures 5 and 9.
    """
    last = posteriors.each(model.states, images, indices)[:, -1]
    rolled = roll_rings(last[..., 0], velocity, num_frames, xp=jnp)
    return jax.nn.sigmoid(model.decode(rolled[..., None]))


class InducedWave(Evaluation[VariationalNWM]):
    """How fast induced waves turn the digits, in degrees per step.

    Every decoded picture is compared with the test digit at all angles (every 5
    degrees, by the correlation of their pixels); the best angles are unwrapped and a
    line is fitted. A digit that turns back as it came has slope -20 if a step of the
    wave is a step of the sequence.

    Args:
      task: a `Variational` of rotating images.
      velocity: cells per step. The slopes of half and of twice this velocity are returned
        too: a wave that turns the digit turns it in proportion.
    """

    part = "induced"

    def __init__(self, task: Any, velocity: float = 1.0) -> None:
        self._task, self._velocity = task, velocity
        self.graphdef = task.graphdef
        self.num_eval = min(_EXAMPLES, task.num_eval)
        self.eval_batch_size = min(20, task.eval_batch_size)

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the first examples of the task's set."""
        return self._task.eval_batch(indices)

    def score(
        self, model: VariationalNWM, batch: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns every picture's best angle, degrees, and its correlation ``[n, 18]``.

        "angle_half" and "angle_twice" are those at half and twice the velocity.
        """
        source = self._task.source
        images = source.sequences(batch, PERIOD)
        # A few starts, 20 degrees apart in themselves, make all angles.
        starts = np.arange(0.0, 20.0, GRAIN)
        turned = [_centred(source.sequences(batch, PERIOD, start)) for start in starts]
        rotations = jnp.concatenate(turned, axis=1)
        degrees = (starts[:, None] + STEP * np.arange(PERIOD)).ravel()

        def read(velocity: float) -> tuple[jax.Array, jax.Array]:
            shown = _centred(induce(model, images, batch["index"], velocity))
            match = jnp.einsum("btp,brp->btr", shown, rotations)
            best = jnp.argmax(match, axis=-1)
            return jnp.asarray(degrees, jnp.float32)[best], jnp.max(match, axis=-1)

        angle, correlation = read(self._velocity)
        return {
            "angle": angle,
            "correlation": correlation,
            "angle_half": read(self._velocity / 2)[0],
            "angle_twice": read(self._velocity * 2)[0],
        }

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns the slopes of all digits.

        Returns:
          {"induced": {"velocity", "examples", "slope" (median, degrees per step),
          "slope_mean", "slope_std", "slope_quartiles", "slope_half" and "slope_twice" (medians
          at half and twice the velocity), "backward" (part of the digits
          that turn back, whose slope is negative), "monotonic" (part of the digits of
          whose 17 steps at least 15 turn back), "correlation" (of the pictures with
          the digit at the best angle)}}.
        """
        angles = np.asarray(scores["angle"], np.float64)
        slopes = np.array([slope(each) for each in angles])
        half, twice = (
            float(np.median([slope(each) for each in scores[f"angle_{name}"]]))
            for name in ("half", "twice")
        )
        steps = (np.diff(angles, axis=1) + 180) % 360 - 180
        return {
            "induced": {
                "velocity": self._velocity,
                "examples": len(angles),
                "slope": float(np.median(slopes)),
                "slope_mean": float(slopes.mean()),
                "slope_std": float(slopes.std(ddof=1)) if len(slopes) > 1 else None,
                "slope_quartiles": np.quantile(slopes, [0.25, 0.75]).tolist(),
                "slope_half": half,
                "slope_twice": twice,
                "backward": float(np.mean(slopes < 0)),
                "monotonic": float(np.mean(np.sum(steps < 0, axis=1) >= 15)),
                "correlation": float(np.mean(scores["correlation"])),
            }
        }

    @classmethod
    def headline(cls, summary: Mapping[str, Any]) -> list[str]:
        """Formats the slopes and how many digits turn back."""
        names = ("slope", "slope_mean", "slope_std", "backward", "monotonic")
        return [line(cls.part, {name: summary[name] for name in names})]


def _centred(images: jax.Array) -> jax.Array:
    """Returns pixels ``[n, T, P]`` of mean 0 and length 1: products are correlations."""
    flat = images.reshape(*images.shape[:2], -1)
    flat = flat - flat.mean(axis=-1, keepdims=True)
    return flat / jnp.maximum(jnp.linalg.norm(flat, axis=-1, keepdims=True), 1e-12)
