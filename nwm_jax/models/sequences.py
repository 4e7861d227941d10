"""A recurrent cell and a readout: from a sequence of vectors to classes or numbers.

The models of two papers' memory experiments: the wave RNN and the identity RNN (Keller
et al., arXiv:2309.08045), the coRNN and Neural Wave Machines with fixed constants
(Keller & Welling, ICML 2023, table 2).
"""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from nwm_jax.core.linear_wave import LinearWaveHParams
from nwm_jax.core.oscillator_hparams import OscillatorHParams, check_stable
from nwm_jax.core.wave import WaveHParams
from nwm_jax.errors import unknown
from nwm_jax.models.compiled import compiled
from nwm_jax.modules import functional
from nwm_jax.modules.layers import chain, linears
from nwm_jax.modules.linear_wave_stack import LinearWaveStack
from nwm_jax.modules.oscillator_cell import OscillatorCell
from nwm_jax.modules.sequence_cells import SequenceCell, WaveRNNCell

# The topologies of oscillators with fixed constants, by the names of their models.
KINDS = {"cornn": "dense", "nwm2d": "torus", "nwm1d": "ring", "uncoupled": "ring"}


class SequenceClassifier(nnx.Module):
    """Reads a sequence and answers at its end, or after every step.

    Args:
      cell: a cell of `modules.sequence_cells`.
      outputs: n_out, classes or numbers.
      hidden: units of a ReLU layer before the last; 0: the readout is linear.
      every_step: answer after every step.
      remat: block length of rematerialisation in time, see `core.unroll`; 0 = off.
      implementation: "auto" or "xla", see `core.wave.run`.
      rngs: draws the readout.
      types: param_dtype and dtype of the readout, see `modules.layers.Linear`.
    """

    def __init__(
        self,
        cell: SequenceCell,
        outputs: int,
        *,
        hidden: int = 0,
        every_step: bool = False,
        remat: int = 0,
        implementation: str = "auto",
        rngs: nnx.Rngs,
        **types: Any,
    ) -> None:
        self.cell = cell
        self.every_step = every_step
        self._options: dict[str, Any] = {
            "remat": remat,
            "implementation": implementation,
        }
        widths = [cell.num_outputs, *([hidden] if hidden else []), outputs]
        self.readout = linears(widths, init="torch", rngs=rngs, **types)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Answers to sequences.

        Args:
          inputs: ``[B, T, n_in]``.

        Returns:
          ``[B, n_out]`` after the last step, or ``[B, T, n_out]`` with `every_step`.

        Raises:
          UserError: inputs of another length.
        """
        last, states = self._run(inputs)
        y = self.cell.readable(states if self.every_step else last)
        return chain(self.readout, jax.nn.relu, y)

    @compiled
    def states(self, inputs: jax.Array) -> jax.Array:
        """The hidden states of sequences, for figures and analysis.

        Args:
          inputs: ``[B, T, n_in]``.

        Returns:
          The states after every step as they lie in space: ``[B, T, n, C]`` for rings,
          positions ``[B, T, H, W, C]`` (``[B, T, N]`` for "cornn") of oscillators.

        Raises:
          UserError: inputs of another length.
        """
        return self.cell.field(self._run(inputs)[1])

    def _run(self, inputs: jax.Array) -> tuple[Any, Any]:
        start = self.cell.initialize_carry((inputs.shape[0], inputs.shape[-1]))
        return self.cell.unroll(start, inputs, **self._options)


def build(
    model: Any,
    inputs: int,
    outputs: int,
    *,
    every_step: bool = False,
    remat: int = 0,
    implementation: str = "auto",
    rngs: nnx.Rngs,
    **types: Any,
) -> SequenceClassifier:
    """Builds the sequence model that a config describes.

    Args:
      model: the config's `model`. All: name (one of `CELLS`), readout_hidden. "wrnn"
        and "irnn": units, channels, activation, coupling_init, input_init, speed,
        zero_coupling_bias, frozen; "wrnn" also kernel_size, and local (a kernel for
        every place). Oscillators: dt, gamma, alpha, and units ("cornn", "uncoupled")
        or grid and channels ("nwm2d", "nwm1d"); "uncoupled" also train_scalars.
      inputs: n_in, length of an input vector.
      outputs: n_out, length of an answer.
      every_step: answer after every step.
      remat: block length of rematerialisation in time; 0 = off.
      implementation: "auto" or "xla", see `core.wave.run`.
      rngs: draws the weights.
      types: param_dtype and dtype of the whole model, see `modules.layers.Linear`.

    Returns:
      The model.

    Raises:
      UserError: unknown model, or numbers that do not fit together.
    """
    if model.name not in CELLS:
        raise unknown("model", model.name, CELLS)
    cell = CELLS[model.name](model, inputs, rngs, **types)
    return SequenceClassifier(
        cell,
        outputs,
        hidden=model.readout_hidden,
        every_step=every_step,
        remat=remat,
        implementation=implementation,
        rngs=rngs,
        **types,
    )


def _wave(
    topology: str, model: Any, inputs: int, rngs: nnx.Rngs, **types: Any
) -> WaveRNNCell:
    names = (
        "units channels activation coupling_init input_init speed "
        "zero_coupling_bias frozen"
    )
    options = {name: model[name] for name in names.split()}
    if topology != "dense":
        options["kernel_size"] = model.kernel_size
    hparams = WaveHParams(topology, inputs=inputs, **options)
    return WaveRNNCell(hparams, rngs=rngs, **types)


def _wrnn(model: Any, inputs: int, rngs: nnx.Rngs, **types: Any) -> WaveRNNCell:
    return _wave("local" if model.local else "ring", model, inputs, rngs, **types)


def _irnn(model: Any, inputs: int, rngs: nnx.Rngs, **types: Any) -> WaveRNNCell:
    return _wave("dense", model, inputs, rngs, **types)


def oscillators(
    kind: str,
    size: tuple[int, ...],
    inputs: int,
    *,
    dt: float,
    gamma: float,
    alpha: float,
    channels: int = 1,
    kernel_size: int = 3,
    train_scalars: bool = False,
    **options: Any,
) -> OscillatorCell:
    """Returns oscillators with fixed constants, driven by vectors.

    Args:
      kind: "cornn" (all to all), "nwm2d" (torus), "nwm1d" (rings) or "uncoupled", where
        Wx and Wv are one number each.
      size: (N,) for "cornn", (1, N) for "uncoupled", (H, W) or (rings, ring) else.
      inputs: F, length of an input vector.
      dt: step size.
      gamma: stiffness.
      alpha: damping (the coRNN papers' epsilon).
      channels: C, oscillators at every place of a torus or ring.
      kernel_size: odd width of the neighbourhood of "nwm2d" and "nwm1d".
      train_scalars: whether the two numbers of "uncoupled" are trained; else they
        stay 1, as they did in the reference program on GPUs.
      options: further arguments of `OscillatorCell`.

    Raises:
      UserError: unknown kind, numbers that do not fit together, or constants with which
        oscillators grow by themselves, see `core.oscillator_hparams.check_stable`.
    """
    if kind not in KINDS:
        raise unknown("kind of cell", kind, KINDS)
    check_stable(dt, gamma, alpha)
    alone = kind == "uncoupled"
    hparams = OscillatorHParams(
        KINDS[kind],
        size,
        channels=channels,
        input_channels=inputs,
        kernel_size=1 if alone else kernel_size,
        forcing="dense",
        dt=dt,
        gamma=gamma,
        alpha=alpha,
        learned=(),
        taps="all" if not alone else "self" if train_scalars else "one",
    )
    return OscillatorCell(hparams, init="torch", **options)


def _oscillators(
    model: Any, inputs: int, size: tuple[int, ...], **options: Any
) -> OscillatorCell:
    options |= {name: model[name] for name in ("dt", "gamma", "alpha")}
    return oscillators(model.name, size, inputs, **options)


def _field(model: Any, inputs: int, rngs: nnx.Rngs, **types: Any) -> OscillatorCell:
    options = {"channels": model.channels, "rngs": rngs, **types}
    return _oscillators(model, inputs, tuple(model.grid), **options)


def _cornn(model: Any, inputs: int, rngs: nnx.Rngs, **types: Any) -> OscillatorCell:
    return _oscillators(model, inputs, (model.units,), rngs=rngs, **types)


def _uncoupled(model: Any, inputs: int, rngs: nnx.Rngs, **types: Any) -> OscillatorCell:
    options = {"train_scalars": model.train_scalars, "rngs": rngs, **types}
    return _oscillators(model, inputs, (1, model.units), **options)


def _linear(
    model: Any,
    inputs: int,
    topology: str,
    *,
    rngs: nnx.Rngs,
    types: dict[str, Any],
    **options: Any,
) -> LinearWaveStack:
    for name in ("dt", "gamma", "alpha"):
        options[name] = tuple(model[f"{name}_range"])
    hparams = LinearWaveHParams(
        topology, input_channels=inputs, scheme=model.scheme, **options
    )
    return LinearWaveStack(hparams, model.blocks, rngs=rngs, **types)


def _linear_field(
    model: Any, inputs: int, rngs: nnx.Rngs, **types: Any
) -> LinearWaveStack:
    names = ("channels", "kernel_size", "gyroscopic", "coupling")
    options = {name: model[name] for name in names}
    topology = "torus" if model.name == "lwm2d" else "ring"
    options |= {"size": tuple(model.grid), "rngs": rngs, "types": types}
    return _linear(model, inputs, topology, **options)


def _linoss(model: Any, inputs: int, rngs: nnx.Rngs, **types: Any) -> LinearWaveStack:
    options = {"channels": model.units, "gyroscopic": False}
    return _linear(model, inputs, "point", rngs=rngs, types=types, **options)


#: What makes a cell, (settings, inputs, rngs, **types) -> cell, by the name that configs
#: call it.
CELLS: dict[str, Callable[..., SequenceCell]] = {
    "wrnn": _wrnn,
    "irnn": _irnn,
    "cornn": _cornn,
    "nwm2d": _field,
    "nwm1d": _field,
    "uncoupled": _uncoupled,
    "lwm2d": _linear_field,
    "lwm1d": _linear_field,
    "linoss": _linoss,
}


def count_weights(params: Any) -> int:
    """The number of parameters without biases, as some papers count.

    Args:
      params: a classifier's parameters, see `modules.functional.split`.
    """
    flat = jax.tree_util.tree_leaves_with_path(params)
    kept = [leaf for path, leaf in flat if "bias" not in jax.tree_util.keystr(path)]
    return functional.count(kept)
