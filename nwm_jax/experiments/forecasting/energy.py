"""Energy of a forecast, read off its images, and the energy that a model has of its own.

Of one particle on a spring or pendulum the image shows the position, two images show
the velocity; the constants of the trajectory are known, hence so is its energy. True
images are read in the same way, and their error is reported beside that of the
forecast: smaller differences mean nothing.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.data import render
from nwm_jax.data.source import SimulatedSource, Source
from nwm_jax.data.specs import Particles, params_of
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting.windows import Windows
from nwm_jax.models import ForecastModel
from nwm_jax.models.latent_model import LatentModel
from nwm_jax.training.evaluation import Evaluation, line

# Coverage below this does not show where the particle is, and pixels farther from it
# than its radius and this many pixels do not count: faint noise all over a picture
# would pull the centre to the middle.
_FAINT = 0.25
_MARGIN = 2.0


def readable(source: Source, horizon: int) -> bool:
    """Returns whether energies can be read off `horizon` images of a source.

    A velocity takes three images; the constants of a trajectory are those that it was
    simulated with.
    """
    return _particle(source, horizon) is not None


def _particle(source: Source, horizon: int) -> Particles | None:
    """Returns the dataset of a source whose images are `readable`, None of others."""
    spec = source.spec if isinstance(source, SimulatedSource) else None
    if isinstance(spec, Particles) and spec.system in _POSITIONS and horizon >= 3:
        return spec
    return None


def has_energy(model: ForecastModel) -> bool:
    """Returns whether a model has an energy of its own: positions and momenta have."""
    return isinstance(model, LatentModel) and model.dynamics.pairing == "halves"


def read_centre(
    images: jax.Array, color_index: jax.Array, radius: jax.Array, spec: Particles
) -> jax.Array:
    """Returns the centre of the one particle in every image.

    A pixel's coverage is the part of the way from the background's colour to the
    particle's that it has gone; the centre is the mean place of the coverage.

    Args:
      images: ``[n, T, R, R, 3]`` in [0, 1].
      color_index: hue of the particle, int ``[n]``.
      radius: of the particle in world units, ``[n]``.
      spec: the dataset: canvas and number of colours.

    Returns:
      (x, y) in world units, ``[n, T, 2]``; NaN where less than a quarter of the
      particle's area is there.
    """
    colors = render.quantise(render.palette(spec.num_colors))[color_index]
    background = render.quantise(jnp.asarray(render.BACKGROUND))
    way = (colors - background)[:, None, None, None]
    cover = jnp.sum((images - background) * way, axis=-1) / jnp.sum(way**2, axis=-1)
    grid = jnp.linspace(*spec.canvas, images.shape[-2])
    pixel = grid[1] - grid[0]
    radius = radius[:, None, None, None]

    def centre(cover: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        total = jnp.sum(cover, axis=(-2, -1))[..., None, None]
        along_x = jnp.sum(cover * grid, axis=(-2, -1), keepdims=True)
        along_y = jnp.sum(cover * grid[:, None], axis=(-2, -1), keepdims=True)
        return along_x / total, along_y / total, total

    x, y, _ = centre(jnp.where(cover > _FAINT, jnp.clip(cover, 0.0, 1.0), 0.0))
    squared = jnp.square(grid - x) + jnp.square(grid[:, None] - y)
    near = squared < jnp.square(radius + _MARGIN * pixel)
    x, y, total = centre(jnp.where(near, cover, 0.0))
    visible = total * pixel**2 > jnp.pi * radius**2 / 4
    place = jnp.concatenate([x, y], axis=-1)[..., 0, :]
    return jnp.where(visible[..., 0], place, jnp.nan)


def read_states(
    images: jax.Array, batch: dict[str, jax.Array], spec: Particles, dt: float
) -> tuple[jax.Array, jax.Array]:
    """States of one particle on a spring or pendulum, read off its images.

    Args:
      images: consecutive frames, ``[n, T, R, R, 3]`` in [0, 1].
      batch: the windows that these images are of, from `SimulatedSource.windows`.
      spec: the dataset.
      dt: time between frames.

    Returns:
      q of frames 1..T-2 and p by central differences, ``[n, T-2, 1]`` each; NaN where
      the particle cannot be found in a frame or its neighbours.
    """
    params = params_of(batch)
    color_index, radius = batch["color_index"][:, 0], batch["radius"][:, 0]
    centre = read_centre(images, color_index, radius, spec)
    q = _POSITIONS[spec.system](centre - batch["offset"][:, None])[..., None]
    velocity = (q[:, 2:] - q[:, :-2]) / (2 * dt)
    q = q[:, 1:-1]
    unit, _ = spec.mechanics.vector_field(
        params, q, jnp.ones_like(q)
    )  # velocity where p = 1
    return q, velocity / unit


def _angle(place: jax.Array) -> jax.Array:
    """Returns the pendulum's angle from hanging down, without jumps; NaN stays."""
    angle = jnp.arctan2(place[..., 0], -place[..., 1])
    known = jnp.isfinite(angle)
    # What is not known must not spoil what comes after it.
    last = jax.lax.cummax(jnp.where(known, jnp.arange(angle.shape[1]), 0), axis=1)
    filled = jnp.take_along_axis(jnp.where(known, angle, 0.0), last, axis=1)
    return jnp.where(known, jnp.unwrap(filled, axis=1), jnp.nan)


# q of the particle by the name of the system, from its place without the offset.
_POSITIONS = {"mass_spring": lambda place: place[..., 1], "pendulum": _angle}


class EnergyDrift(Evaluation[ForecastModel]):
    """How far the energy of forecasts strays, an `training.evaluation.Evaluation`.

    Args:
      windows: of a split; taken are the first `eval.num_vpt` of those
        whose errors are computed.

    Raises:
      UserError: the energy can neither be read off the images nor has the model one.
    """

    part = "energy"

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self.graphdef = windows.graphdef
        self.num_eval = min(windows.num_eval, windows.config.eval.num_vpt)
        self.eval_batch_size = windows.eval_batch_size
        data, horizon = windows.config.data, windows.config.eval.horizon
        self._particle = _particle(windows.source, horizon)
        if self._particle is None and not has_energy(windows.model):
            raise UserError(
                "energy needs three or more forecast frames of a simulated spring or "
                "pendulum, or a model with an energy of its own, and not "
                f"{data.path or data.name}: leave it out of --metrics"
            )

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the first windows whose errors are computed."""
        return self._windows.eval_batch(indices)

    def score(self, model: Any, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
        """Energies of every window.

        Returns:
          Where images can be read, of the frames in the middle of the last
          `eval.horizon`: "true", of the true state, and "forecast" and "true_images",
          read off images, ``[n, horizon - 2]``. For models with an energy "model", its
          value along the whole roll-out, ``[n, T']``.
        """
        scores = {}
        images = self._windows.source.decode(batch)["images"]
        if has_energy(model):
            scores["model"] = model.energy(model.latents(images).z)
        if (spec := self._particle) is not None:
            horizon, params = self._windows.config.eval.horizon, params_of(batch)
            energy = spec.mechanics.hamiltonian
            states = batch["states"][:, -horizon:][:, 1:-1]
            scores["true"] = energy(params, *jnp.split(states, 2, axis=-1))
            for name, frames in (
                ("forecast", model.reconstruct(images)),
                ("true_images", images),
            ):
                read = read_states(
                    frames[:, -horizon:], batch, spec, self._windows.config.data.dt
                )
                scores[name] = energy(params, *read)
        return scores

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns relative differences to the true energy, medians over the windows.

        Returns:
          {"energy": ...} with "num_windows" and, where images can be read, "drift", the
          mean over frames of |E - E_true| / E_true, "gain", the same with its sign, and
          "readable", the part of the frames in which the particle is found: each
          {"forecast", "true_images"}. For models with an energy H of their own
          "model_drift": the mean over windows and frames of |H - H of frame 0|, in
          units of the standard deviation of the latter over the windows.
        """
        summary: dict[str, Any] = {"num_windows": len(next(iter(scores.values())))}
        if "true" in scores:
            summary |= {"drift": {}, "gain": {}, "readable": {}}
            for name in ("forecast", "true_images"):
                relative = scores[name].astype(np.float64) / scores["true"] - 1
                summary["drift"][name] = _median_of_means(np.abs(relative))
                summary["gain"][name] = _median_of_means(relative)
                summary["readable"][name] = float(np.mean(np.isfinite(relative)))
        if "model" in scores:
            energy = scores["model"].astype(np.float64)
            spread = np.std(energy[:, 0])
            strayed = np.mean(np.abs(energy - energy[:, :1]))
            summary["model_drift"] = float(strayed / spread) if spread > 0 else np.nan
        return {"energy": summary}

    @classmethod
    def headline(cls, summary: Mapping[str, Any]) -> list[str]:
        """Formats the drift, the gain and the part of the frames that can be read."""
        lines = [
            line(f"energy {name}", summary[name])
            for name in ("drift", "gain", "readable")
            if name in summary
        ]
        if "model_drift" in summary:
            lines.append(line("own energy", {"drift": summary["model_drift"]}))
        return lines


def _median_of_means(values: np.ndarray) -> float:
    """Returns the median over rows of the mean of what is finite; NaN if nothing is."""
    finite = np.isfinite(values)
    count = finite.sum(axis=1)
    means = np.sum(values, axis=1, where=finite)[count > 0] / count[count > 0]
    return float(np.median(means)) if means.size else float("nan")
