"""Forecasting experiments: a dataset of moving things, a model, a budget.

A plain config is the paper's: its fields, what they mean and what they may be stand in the
groups below. What presets change stands in `budgets`.
"""

import contextlib
import dataclasses
import math
from dataclasses import replace

from ml_collections import ConfigDict

from nwm_jax.config import base
from nwm_jax.config.base import Config
from nwm_jax.config.definition import Definition
from nwm_jax.config.fields import field, grid, odd, refuse
from nwm_jax.data.windows import NUM_VALID
from nwm_jax.errors import UserError, unknown
from nwm_jax.experiments.forecasting import budgets, datasets
from nwm_jax.experiments.linear_waves import LinearWaves
from nwm_jax.models import solvers, splits
from nwm_jax.models.names import DECODE


def _even(name: str, value: int) -> None:
    if value < 2 or value % 2:  # the decoder has half as many planes
        refuse(name, value, "even and at least 2")


def _step(name: str, value: float) -> None:
    if not (value and math.isfinite(value)):
        refuse(name, value, "a finite number other than 0")


@dataclasses.dataclass(frozen=True)
class Data(base.Files, base.Seeded):
    """Trajectories."""

    num_train: int = field(50_000, "trajectories to train on", least=1)
    num_valid: int = field(
        NUM_VALID,
        "trajectories that training is followed on; of files at most a tenth",
        least=1,
    )
    num_test: int = field(20_000, "trajectories to test on", least=1)
    num_frames: int = field(256, "frames of a trajectory", least=1)
    dt: float = field(0.05, "time between two frames", above=0)


@dataclasses.dataclass(frozen=True)
class Model(base.Model):
    """What all models have, those of users too."""

    num_observed: int = field(31, "frames that the model sees", least=1)
    num_target: int = field(60, "frames of a training clip, or after those", least=0)

    def train_length(self) -> int:
        """Returns the frames of a training clip; after them begins extrapolation."""
        return self.num_target

    def check(self) -> None:
        """Refuses a first state from frames that are not seen."""
        num_ic = getattr(self, "num_ic", None)
        if num_ic is None:
            return
        if num_ic > self.num_observed:
            wanted = f"at most model.num_observed={self.num_observed}"
            refuse("model.num_ic", num_ic, wanted)
        # The last frame of a training window is only a target, never seen.
        if self.num_observed >= self.num_target:
            wanted = f"below model.num_target={self.num_target}"
            refuse("model.num_observed", self.num_observed, wanted)


@dataclasses.dataclass(frozen=True)
class Forecaster(Model):
    """A model with image networks."""

    conv_channels: int = field(64, "channels of the image networks", least=1)


@dataclasses.dataclass(frozen=True)
class CoRNN(Forecaster):
    """Oscillators coupled all with all."""

    grid: tuple[int, int] = field(
        (23, 23), "oscillators, (height, width) or (rings, ring)", check=grid
    )
    channels: int = field(1, "oscillators at every place", least=1)
    num_ic: int = field(
        31, "frames that the model sees to choose the first state; 0: zeros", least=0
    )
    decode: str = field("xv", "decoded: x, or x and v", choices=tuple(DECODE))


@dataclasses.dataclass(frozen=True)
class NWM(CoRNN):
    """Oscillators coupled with their neighbours: a field."""

    kernel_size: int = field(
        3, "odd width of the coupling; 1: uncoupled", least=1, check=odd
    )


@dataclasses.dataclass(frozen=True)
class LWM(LinearWaves, NWM):
    """A field of linear oscillators."""


@dataclasses.dataclass(frozen=True)
class Layered(Forecaster):
    """A model whose size is set by the width of its layers."""

    num_observed: int = field(5, "frames that the model sees", least=1)
    latent: int = field(32, "length of the latent state", least=2)
    units: int = field(250, "width of the hidden layers", least=1)
    layers: int = field(5, "number of layers", least=1, bits=12)


@dataclasses.dataclass(frozen=True)
class Autoregressive(Layered):
    """A stack of recurrent cells."""

    num_ic: int = field(
        0, "frames that the model sees to choose the first state; 0: zeros", least=0
    )


@dataclasses.dataclass(frozen=True)
class Inferring(Model):
    """A model that infers a state from the observed frames, and cuts its clips."""

    def cut(self) -> splits.Split:
        """Returns how a clip is cut.

        Raises:
          UserError: what does not go together.
        """
        return splits.get(
            getattr(self, "training", "forward"),
            getattr(self, "split", "include_inference"),
            self.num_observed,
            self.num_target,
            reversible=not isinstance(self, Residual),
        )

    def train_length(self) -> int:
        """Returns the frames of a training clip; after them begins extrapolation."""
        return self.cut().train_length

    def check(self) -> None:
        """Refuses a split that does not fit."""
        self.cut()


@dataclasses.dataclass(frozen=True)
class Residual(Layered, Inferring):
    """A latent state that moves by a learned map."""

    split: str = field(
        "overlap_by_one", "where the observed frames lie", choices=splits.SPLITS
    )
    residual: bool = field(True, "the latent state changes by what is learned")
    beta: float = field(1.0, "weight of the divergence from the prior", least=0)


@dataclasses.dataclass(frozen=True)
class Flow(Layered, Inferring):
    """A latent state that follows a learned equation of motion."""

    training: str = field(
        "forward_backward", "directions of time", choices=splits.TRAINING
    )
    split: str = field(
        "include_inference", "where the observed frames lie", choices=splits.SPLITS
    )
    dt: float = field(0.125, "time between two frames for the model", check=_step)
    integrator: str = field("dopri5", "of the equation of motion")
    beta: float = field(1.0, "weight of the divergence from the prior", least=0)

    def check(self) -> None:
        """Refuses an integrator or a split that does not fit."""
        solvers.check(self.integrator, isinstance(self, Hamiltonian))
        self.cut()


@dataclasses.dataclass(frozen=True)
class Lagrangian(Flow):
    """Positions and as many velocities."""

    latent: int = field(32, "length of the latent state", check=_even)


@dataclasses.dataclass(frozen=True)
class Hamiltonian(Lagrangian):
    """Positions and as many momenta of a separable system."""


@dataclasses.dataclass(frozen=True)
class ConvHamiltonian(Forecaster, Inferring):
    """The same in latent images."""

    num_target: int = field(0, "frames of a training clip, or after those", least=0)
    latent_channels: int = field(32, "channels of the latent image", check=_even)
    dt: float = field(0.125, "time between two frames for the model", check=_step)
    integrator: str = field("leapfrog", "of the equation of motion")
    kappa: float = field(1e-3, "GECO's tolerance of the squared error", least=0)

    def check(self) -> None:
        """Refuses an integrator or a split that does not fit."""
        solvers.check(self.integrator, separable=True)
        self.cut()


@dataclasses.dataclass(frozen=True)
class Eval(base.Eval):
    """What forecasts are scored on."""

    num_windows: int = field(512, "test windows", least=1)
    num_mean_windows: int = field(1_024, "training windows of the mean image", least=1)
    num_vpt: int = field(250, "trajectories for valid prediction times", least=1)
    horizon: int = field(60, "frames that are scored", least=1)


@dataclasses.dataclass(frozen=True)
class Forecasting(Config):
    """A forecast of images."""

    task: str = field("forecasting", "what is learned")
    data: Data = Data()
    model: Model = Model()
    eval: Eval = Eval()

    def check(self) -> None:
        """Refuses unknown datasets and trajectories that are shorter than clips."""
        super().check()
        if self.data.path:
            return  # your own clips: their name is free, their length is the file's
        if self.data.name not in datasets.names():
            raise unknown("data.name", self.data.name, datasets.names())
        model, length = self.model, self.model.train_length()
        terms = {"model.num_observed": model.num_observed}
        terms["model.num_target"] = model.num_target
        if length == model.num_target:
            del terms["model.num_observed"]
        summed = " + ".join(terms) + " - 1" * (length < sum(terms.values()))
        for what, more, horizon in (
            ("training clips have", "", 0),
            ("evaluation needs", " + eval.horizon", self.eval.horizon),
        ):
            if length + horizon > self.data.num_frames:
                raise UserError(
                    f"{what} {summed}{more} = {length + horizon} frames, but "
                    f"data.num_frames={self.data.num_frames}"
                )


#: Models by name, with the paper's values (hgn is HGN++, ode is ODE[TR]; what that
#: paper does not use has the defaults of arXiv:2111.05458).
MODELS: dict[str, Model] = {
    "ar": Autoregressive(),
    "hgn": Hamiltonian(integrator="leapfrog", beta=0.1),
    "ode": Flow(),
    "cornn": CoRNN(),
    "nwm2d": NWM(),
    "nwm1d": NWM(),
    "lwm2d": LWM(),
    "lwm1d": LWM(),
    "ar_gru": Autoregressive(),
    "ar_vanilla": Autoregressive(),
    "lgn": Lagrangian(
        training="forward", split="overlap_by_one", integrator="midpoint"
    ),
    "rgn": Residual(),
    "hgn_conv": ConvHamiltonian(),
}
#: Rows and columns of the paper's table.
TABLE = (datasets.TABLE, ("ar", "hgn", "ode", "cornn", "nwm2d", "nwm1d"))


def define(dataset: str, model: str) -> Definition:
    """Returns the definition of a model, of `MODELS`, on a dataset."""
    plain = Forecasting(
        name=f"{dataset}_{model}",
        data=Data(dataset, dt=datasets.dt(dataset)),
        model=replace(MODELS[model], name=model),
    )
    return Definition(plain, budgets.presets)


def definitions() -> dict[str, Definition]:
    """Returns every dataset with every model, by name."""
    return {
        f"{dataset}_{model}": define(dataset, model)
        for dataset in datasets.names()
        for model in MODELS
    }


def summary() -> str:
    """Describes how the names of `definitions` are made."""
    known = dict.fromkeys(map(datasets.short_name, datasets.names()))
    return (
        f"DATASET_MODEL, where DATASET is one of {', '.join(known)} and "
        f"MODEL one of {', '.join(MODELS)}"
    )


def get_config(dataset: str, model: str, argument: str = "") -> ConfigDict:
    """Returns the config of one model on one dataset.

    Args:
      dataset: one of `datasets.names()`.
      model: a key of `MODELS`.
      argument: ``preset,key=value,...`` (`config.grammar`); empty: the
        paper's values.

    Returns:
      A locked config: fields can change their values, not their names or types.

    Raises:
      UserError: unknown dataset, model, preset or field, or a value of a wrong type.
    """
    for kind, name, known in (
        ("dataset", dataset, datasets.names()),
        ("model", model, MODELS),
    ):
        if name not in known:
            raise unknown(kind, name, known)
    return define(dataset, model)(argument)


def follow_dataset(config: ConfigDict, old: str) -> None:
    """Sets what follows from another `data.name`: its `data.dt`, the config's name.

    Args:
      config: changed in place.
      old: the former dataset.
    """
    new, model = config.data.name, config.model.name
    if config.name == f"{old}_{model}":
        config.name = f"{new}_{model}"
    with contextlib.suppress(UserError):  # your own movies have any name
        if config.data.dt == datasets.dt(old):
            config.data.dt = datasets.dt(new)
