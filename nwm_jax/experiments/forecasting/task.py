"""Forecasting moving things from their images: the Hamiltonian benchmark.

A training clip is as long as the model says. An evaluation window is `eval.horizon`
frames longer; the model sees its first `model.num_observed` frames and is scored on
the last `eval.horizon`, the benchmark's forward extrapolation (arXiv:2111.05458).
Models that run backward too see the last frames instead and are scored on the first.
Training is followed on the split "valid", results are of the split "test".
"""

import copy
import functools
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from nwm_jax import files
from nwm_jax.data import Source, identity
from nwm_jax.data.windows import train_windows
from nwm_jax.errors import UserError, unknown
from nwm_jax.experiments.forecasting import datasets, mse, vpt
from nwm_jax.experiments.forecasting.energy import EnergyDrift, readable
from nwm_jax.experiments.forecasting.long_clips import LongPredictionTime
from nwm_jax.experiments.forecasting.vpt import ValidPredictionTime
from nwm_jax.experiments.forecasting.windows import Windows
from nwm_jax.experiments.wave_statistics import LEAST_FRAMES, WaveStatistics
from nwm_jax.models import ForecastModel
from nwm_jax.models.forecaster import Forecaster
from nwm_jax.models.forecasting import build
from nwm_jax.modules import functional
from nwm_jax.modules.field_cell import FieldCell
from nwm_jax.training import room
from nwm_jax.training.evaluation import Evaluation
from nwm_jax.training.flops import count_by_xla
from nwm_jax.training.task import Task


class Forecasting(Task[ForecastModel]):
    """The forecasting task of a config, see `training.task.Task`.

    Args:
      config: a resolved config of `experiments.forecasting.configs`.
      source: the data; opened (or simulated and cached) by the config if None.
      progress: called as progress(done, total), in trajectories, while simulating.

    Raises:
      UserError: clips are shorter than a training clip or an evaluation window, or
        images have neither one channel nor three.
    """

    metric = "mse"
    extras = (ValidPredictionTime, LongPredictionTime, EnergyDrift, WaveStatistics)
    best = ("relative_mse/forecast", "min")
    # The loss is this error and a constant, which would hide the curve.
    curve = "mse"
    followed = best[0]
    preparation = "simulating trajectories"

    def __init__(
        self,
        config: ConfigDict,
        source: Source | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__(config)
        self.source = source or datasets.read(config.data, progress)
        channels = self.source.image_shape[-1]
        if channels not in (1, 3):
            raise UserError(
                f"images of the data have {channels} channels: save them with 1 (grey) "
                "or 3 (red, green, blue)"
            )
        # The model's structure, with shapes instead of weights.
        self.model = nnx.eval_shape(lambda: self.init(jax.random.key(0)))
        self.graphdef = functional.split(self.model)[0]
        self.train_length = self.units_per_example = self.model.train_length
        self.windows = Windows(config, self.source, self.model, self.graphdef)
        self.num_eval = config.eval.num_windows
        if self.source.num_frames < self.windows.window:
            raise UserError(
                f"clips of the data have {self.source.num_frames} frames, but the "
                f"evaluation needs {self.windows.window} (a training clip of "
                f"{self.train_length} + eval.horizon): lower model.num_target or "
                "eval.horizon"
            )

    @functools.cached_property
    def validation(self) -> "Forecasting":  # type: ignore[override]  # can be set
        """This task, scored on the split "valid"."""
        other = copy.copy(self)
        other.windows = self.windows.of("valid")
        return other

    @property
    def dataset(self) -> str:
        """What the data is, see `data.identity`."""
        data = self.config.data
        return identity.name_of(data.path) if data.path else data.name

    def init(self, key: jax.Array) -> ForecastModel:
        """Draws a new model."""
        return build(
            self.config.model,
            self.source.image_shape,
            conv=self.config.conv,
            remat=self.config.remat,
            rngs=nnx.Rngs(key),
        )

    def batch(self, step: int, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
        """Returns training clips of a step; the images are rendered inside the loss."""
        length = self.train_length
        indices, starts = train_windows(
            self.config.seed,
            step,
            rows,
            batch_size=self.config.batch_size,
            num_trajectories=self.source.size("train"),
            num_frames=self.source.num_frames,
            length=length,
        )
        return self.source.read("train", indices, starts, length)

    def loss(
        self, params: Any, state: Any, batch: dict[str, jax.Array], key: jax.Array
    ) -> tuple[jax.Array, tuple[dict[str, jax.Array], Any]]:
        """Returns the model's loss on the images of a batch.

        What the model changed in itself besides its parameters is the next state.
        """
        model = functional.merge(self.graphdef, params, state)
        loss, metrics = model.loss(self.source.decode(batch)["images"], key)
        return loss, (metrics, functional.split(model)[2])

    def check_size(self) -> None:
        """Refuses trajectories that this machine cannot simulate or keep."""
        for field in ("num_windows", "num_mean_windows"):
            # The number of a trajectory and of its first frame; while drawn, twice.
            number = self.config.eval[field]
            files.check_memory(32 * number, f"eval.{field}={number}", "take fewer")
        if check := getattr(self.source, "check_size", None):
            check()

    def bytes_per_example(self) -> float:
        """Bytes of the images of a clip, and of the states that follow each other."""
        frame = 4 * math.prod(self.source.image_shape)
        if isinstance(self.model, Forecaster):
            cell = self.model.cell
            carry = jax.eval_shape(
                lambda: cell.initialize_carry((1, *cell.input_shape))
            )
            frame += room.size(carry)
        return float(self.train_length * frame)

    def forward_flops(self) -> float:
        """Returns the floating-point operations of a batch's loss, by XLA's count."""
        plain = self.config.copy_and_resolve_references()
        with plain.unlocked():
            plain.conv = "xla"  # XLA counts what is inside of a scan only once
        counted = type(self)(plain, self.source)
        _, params, state = functional.split(
            jax.eval_shape(lambda: counted.init(jax.random.key(0)))
        )
        images = jax.ShapeDtypeStruct(
            (plain.batch_size, self.train_length, *self.source.image_shape),
            jnp.float32,
        )

        def loss(params: Any, images: jax.Array) -> jax.Array:
            model = functional.merge(counted.graphdef, params, state)
            return model.loss(images, jax.random.key(0))[0]

        return count_by_xla(loss, params, images)

    def eval_batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns windows `indices` of the fixed, seeded set of the split's windows."""
        return self.windows.eval_batch(indices)

    def score(
        self, model: ForecastModel, batch: dict[str, jax.Array]
    ) -> dict[str, jax.Array]:
        """Returns errors of the frames of every window, see `mse.score`."""
        return mse.score(
            model, self.source.decode(batch)["images"], batch["mean_image"]
        )

    def summarise(self, scores: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns errors of the extrapolated and of each frame, see `mse.summarise`."""
        horizon = self.config.eval.horizon
        return mse.summarise(scores, horizon, self.source.image_shape)

    def evaluations(self, metrics: Sequence[str] = ()) -> dict[str, Evaluation]:
        """Returns what metrics are computed by.

        Args:
          metrics: of `METRICS`; none: the usual ones, which are "mse" (the task
            itself), "vpt", "energy" where images can be read, and "waves" (of the
            forecast frames) where oscillators move.

        Returns:
          The evaluations by name, in this order.

        Raises:
          UserError: an unknown metric, or one that these data do not have.
        """
        if not metrics:
            has_energy = readable(self.source, self.config.eval.horizon)
            metrics = ["mse", "vpt"] + ["energy"] * has_energy
            metrics += ["waves"] * (self._oscillates and not self._too_short)
        for name in metrics:
            if name not in METRICS:
                raise unknown("metric", name, METRICS)
            if name == "waves" and not self._oscillates:
                raise UserError(
                    f"the model {self.config.model.name} has no field of oscillators: "
                    "leave the metric waves away"
                )
            if name == "waves" and self._too_short:
                raise UserError(f"{self._too_short}: leave it away")
        return {name: METRICS[name](self) for name in metrics}

    def evaluation_on(self, data: str) -> dict[str, Evaluation]:
        """Returns valid prediction times on long trajectories, see `long_clips`."""
        return {"vpt_long": LongPredictionTime(self.windows, data)}

    def threshold(self, summary: Mapping[str, Any]) -> float | None:
        """Returns the error above which a frame is no valid prediction, if it was used."""
        return vpt.THRESHOLD if "vpt" in summary else None

    @property
    def note(self) -> str:  # type: ignore[override]  # an attribute, computed
        """Names the usual scores that these clips cannot have."""
        left_out = self._oscillates and self._too_short
        return f"left out: {left_out}" if left_out else ""

    @property
    def _too_short(self) -> str:
        """Why the hidden state of the forecast has too few frames; empty: it has not."""
        frames = self.windows.window - 1 - self.model.num_observed
        if frames >= LEAST_FRAMES:
            return ""
        return (
            f"the metric waves needs {LEAST_FRAMES} frames after model.num_observed="
            f"{self.model.num_observed}, and windows of {self.windows.window} frames (a training "
            f"clip and eval.horizon={self.config.eval.horizon}) have {frames}"
        )

    @property
    def _oscillates(self) -> bool:
        """Whether the hidden state is a field of oscillators."""
        cell = getattr(self.model, "cell", None)
        return isinstance(cell, FieldCell)

    def figures(self, model: ForecastModel, folder: pathlib.Path) -> list[pathlib.Path]:
        """Draws the forecast of the first test window and the field that made it.

        Args:
          model: a trained model.
          folder: where the pictures go.

        Returns:
          strip.png and forecast.webp; for a model whose oscillators have a place, also
          wave.png (snapshots with phase and velocity) and space_time.png, and for
          linear waves dispersion.png.
        """
        # Loads matplotlib.
        from nwm_jax.figures import animation, dispersion, strip, waves

        trajectories, starts = (chosen[:1] for chosen in self.windows.chosen)
        window = self.source.read(
            self.windows.split, trajectories, starts, self.windows.window
        )
        images = self.source.decode(window)["images"]
        sheet: np.ndarray | None = None
        cell: FieldCell | None = None
        if isinstance(model, Forecaster) and isinstance(model.cell, FieldCell):
            means, states = jax.jit(model.roll_out)(images)
            if states.x.ndim == 5:  # otherwise the oscillators have no place
                sheet, cell = np.asarray(states.x)[0, ..., 0], model.cell
        else:
            means = jax.jit(model.reconstruct)(images)
        means = np.asarray(means)[0]
        truth = np.asarray(images)[0, -len(means) :]
        first = self.windows.window - len(means)
        origin = self.source.origin
        times: dict[str, Any] = {"first_frame": first, "origin": origin}
        times["num_observed"] = model.num_observed
        title = self.title
        paths = [strip.draw(folder / "strip.png", truth, means, title=title, **times)]
        animated = folder / "forecast.webp"
        paths.append(animation.save(animated, truth, means, sheet, **times))
        if sheet is not None and cell is not None:
            title = f"{title}: positions of the oscillators"
            wave, lines = folder / "wave.png", folder / "space_time.png"
            # The rings of the 1D model are not neighbours of each other.
            ring = cell.hparams.topology == "ring"
            boundary = ("open", "periodic") if ring else "periodic"
            paths.append(
                waves.draw_snapshots(
                    wave,
                    sheet,
                    first_frame=first,
                    boundary=boundary,
                    title=title,
                    origin=origin,
                )
            )
            paths.append(
                waves.draw_space_time(lines, sheet, first_frame=first, title=title)
            )
            if linear := getattr(cell, "linear_waves", None):
                paths.append(
                    dispersion.draw(
                        folder / "dispersion.png",
                        linear.hparams,
                        linear.params,
                        np.asarray(states.x)[0],
                        title=f"{self.title}: linear waves",
                    )
                )
        return paths


def _waves(task: Forecasting) -> Evaluation:
    cell = getattr(task.model, "cell", None)
    assert isinstance(cell, FieldCell)  # `evaluations` refuses all others
    return WaveStatistics(
        task,
        lambda model, batch: model.states(task.source.decode(batch)["images"]),
        rings=cell.hparams.topology == "ring",
        skip=task.model.num_observed,
    )


def _symetric(task: Forecasting) -> Evaluation:
    # scikit-learn takes a second to load.
    from nwm_jax.experiments.forecasting.symetric import SyMetric

    return SyMetric(task.windows)


#: What `--metrics` knows, and what computes it.
METRICS: dict[str, Callable[[Forecasting], Evaluation]] = {
    "mse": lambda task: task,
    "vpt": lambda task: ValidPredictionTime(task.windows),
    "energy": lambda task: EnergyDrift(task.windows),
    "waves": _waves,
    "symetric": _symetric,
}
