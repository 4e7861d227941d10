"""Forecasting moving things from their images: the Hamiltonian benchmark.

Training clips have `model.num_target` frames. An evaluation window is `eval.horizon`
frames longer; the model sees its first `model.num_observed` frames and is scored on
the last `eval.horizon`, the benchmark's forward extrapolation (arXiv:2111.05458).
"""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from nwm_jax.data import Source, open_source
from nwm_jax.data.windows import eval_windows, train_windows
from nwm_jax.errors import UserError
from nwm_jax.evaluation import mse
from nwm_jax.figures import animation, strip, waves
from nwm_jax.models.build import build
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.modules import functional


class Forecasting:
    """The forecasting task of a config, see `tasks.Task`.

    Args:
      config: a resolved config of `presets.forecasting`.
      source: the data; opened (or simulated and cached) by the config if None.
      progress: called as progress(done, total), in trajectories, while simulating.

    Raises:
      UserError: clips are shorter than a training clip or an evaluation window, or
        images have neither one channel nor three.
    """

    best = ("relative_mse/forecast", "min")

    def __init__(
        self,
        config: ConfigDict,
        source: Source | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.config = config
        self.source = source or open_source(**config.data.to_dict(), progress=progress)
        channels = self.source.image_shape[-1]
        if channels not in (1, 3):
            raise UserError(
                f"images of the data have {channels} channels: save them with 1 (grey) "
                "or 3 (red, green, blue)"
            )
        self.units_per_example = config.model.num_target
        self.num_eval = config.eval.num_windows
        self.window = config.model.num_target + config.eval.horizon
        if self.source.num_frames < self.window:
            raise UserError(
                f"clips of the data have {self.source.num_frames} frames, but "
                f"model.num_target + eval.horizon = {self.window}: lower one of them"
            )
        self.graphdef = functional.split(
            nnx.eval_shape(lambda: self.init(jax.random.key(0)))
        )[0]

    def init(self, key: jax.Array) -> Forecaster:
        """Draws a new forecaster."""
        return build(
            self.config.model,
            self.source.image_shape,
            conv=self.config.conv,
            remat=self.config.remat,
            rngs=nnx.Rngs(key),
        )

    def batch(self, step: int, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
        """Training clips of a step; the images are rendered inside the loss."""
        length = self.config.model.num_target
        indices, starts = train_windows(
            self.config.seed,
            step,
            rows,
            batch_size=self.config.batch_size,
            num_trajectories=self.source.size("train"),
            num_frames=self.source.num_frames,
            length=length,
        )
        return self.source.windows("train", indices, starts, length)

    def loss(
        self, params: Any, state: Any, batch: dict[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        """The teacher-forced loss of `Forecaster.loss`; there is no randomness in it."""
        model = functional.merge(self.graphdef, params, state)
        loss, metrics = model.loss(self.source.images(batch))
        return loss, (metrics, state)

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Windows `indices` of the fixed, seeded set of test windows.

        Beside them goes "mean_image", float32 ``[n, H, W, C]``, the same for all: it
        is made here, on the host, and not while `score` is compiled.
        """
        trajectories, starts = self._eval_windows
        batch = self.source.windows(
            "test", trajectories[indices], starts[indices], self.window
        )
        shape = (len(indices), *self.source.image_shape)
        return batch | {"mean_image": np.broadcast_to(self.mean_image, shape).copy()}

    def score(
        self, model: Forecaster, batch: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Errors of frames 1.. of every window, of the model and without skill.

        Returns:
          {"forecast/mse", "forecast/relative_mse", "mean_image/mse", ...}, each
          ``[n, window - 1]``; "forecast" before the last observed frame is the
          one-step-ahead prediction.
        """
        images = self.source.images(batch)
        truth = images[:, 1:]
        last_seen = images[:, model.num_observed - 1][:, None]
        forecasts = {
            "forecast": model.reconstruct(images),
            "mean_image": jnp.broadcast_to(batch["mean_image"][:, None], truth.shape),
            "last_frame": jnp.broadcast_to(last_seen, truth.shape),
        }
        return {
            f"{who}/{measure}": error
            for who, forecast in forecasts.items()
            for measure, error in mse.frame_errors(forecast, truth).items()
        }

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Means over the windows, of the extrapolated frames and of each frame.

        Returns:
          "mse", "relative_mse" and "table_units" of the last `eval.horizon` frames,
          each {"forecast", "mean_image", "last_frame"}; "standard_error" of the
          forecast's relative MSE over windows; "per_frame" with the mean errors of each
          frame, counted from 0. Relative errors leave out black frames; where there is
          nothing else they are NaN.
        """
        horizon = self.config.eval.horizon
        # Black frames, known by the baseline: a NaN of the model itself must count.
        lit = ~np.isnan(scores["last_frame/relative_mse"])
        counted = {"mse": np.ones_like(lit), "relative_mse": lit}
        summary: dict[str, Any] = {"mse": {}, "relative_mse": {}, "table_units": {}}
        per_frame: dict[str, Any] = {"mse": {}, "relative_mse": {}}
        per_frame["frame"] = list(range(1, self.window))
        for name, values in scores.items():
            who, measure = name.split("/")
            where = counted[measure]
            errors = _mean(values, where, axis=0)
            last = _mean(errors[-horizon:], where[:, -horizon:].any(axis=0))
            summary[measure][who] = float(last)
            per_frame[measure][who] = [float(error) for error in errors]
        for who, error in summary["relative_mse"].items():
            summary["table_units"][who] = mse.table_units(
                error, self.source.image_shape
            )
        relative, lit = scores["forecast/relative_mse"][:, -horizon:], lit[:, -horizon:]
        windows = _mean(relative, lit, axis=1)[lit.any(axis=1)]
        error = np.std(windows) / np.sqrt(len(windows)) if len(windows) else np.nan
        summary["standard_error"] = float(error)
        return summary | {"per_frame": per_frame}

    @functools.cached_property
    def mean_image(self) -> np.ndarray:
        """Mean of `eval.num_mean_windows` seeded training windows.

        float32 ``[H, W, C]`` in [0, 1].
        """
        count = self.config.eval.num_mean_windows
        trajectories, starts = self._windows("train", count)

        @jax.jit
        def add(total: jax.Array, batch: dict[str, jax.Array]) -> jax.Array:
            return total + jnp.sum(self.source.images(batch), axis=(0, 1))

        total = jnp.zeros(self.source.image_shape)
        for chunk in np.array_split(np.arange(count), -(-count // 32)):
            batch = self.source.windows(
                "train", trajectories[chunk], starts[chunk], self.window
            )
            total = add(total, batch)
        return np.asarray(total) / np.float32(count * self.window)

    def figures(self, model: Forecaster, folder: pathlib.Path) -> list[pathlib.Path]:
        """Draws the forecast of the first test window and the field that made it.

        Args:
          model: a trained forecaster.
          folder: where the pictures go.

        Returns:
          strip.png and forecast.webp; for a model whose oscillators have a place, also
          wave.png (snapshots with phase and velocity) and space_time.png.
        """
        trajectories, starts = (chosen[:1] for chosen in self._eval_windows)
        window = self.source.windows("test", trajectories, starts, self.window)
        images = self.source.images(window)
        means, states = jax.jit(model.roll_out)(images)
        field = states.x
        truth, means = np.asarray(images)[0, 1:], np.asarray(means)[0]
        # Frame 0 is observed and never predicted: clips begin with frame 1.
        origin = {"origin": self.source.origin}
        times = {"first_frame": 1, "num_observed": model.num_observed} | origin
        title = self.config.name
        paths = [strip.draw(folder / "strip.png", truth, means, title=title, **times)]
        sheet = np.asarray(field)[0, ..., 0] if field.ndim == 5 else None
        animated = folder / "forecast.webp"
        paths.append(animation.save(animated, truth, means, sheet, **times))
        if sheet is not None:
            title = f"{title}: positions of the oscillators"
            wave, lines = folder / "wave.png", folder / "space_time.png"
            # The rings of the 1D model are not neighbours of each other.
            ring = model.cell.hparams.topology == "ring"
            boundary = ("open", "periodic") if ring else "periodic"
            paths.append(
                waves.draw_snapshots(
                    wave, sheet, first_frame=1, boundary=boundary, title=title, **origin
                )
            )
            paths.append(
                waves.draw_space_time(lines, sheet, first_frame=1, title=title)
            )
        return paths

    @functools.cached_property
    def _eval_windows(self) -> tuple[np.ndarray, np.ndarray]:
        return self._windows("test", self.num_eval)

    def _windows(self, split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """A seeded set of windows that does not depend on the seed of the training."""
        return eval_windows(
            self.config.data.seed,
            count,
            num_trajectories=self.source.size(split),
            num_frames=self.source.num_frames,
            length=self.window,
        )


def _mean(values: np.ndarray, where: np.ndarray, axis: int | None = None) -> np.ndarray:
    """The mean of the values that count; NaN, without a warning, where none does."""
    total = np.sum(values, axis=axis, where=where, dtype=np.float64)
    count = np.sum(where, axis=axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
