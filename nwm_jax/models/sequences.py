"""A recurrent cell and a readout: from a sequence of vectors to classes or numbers.

The models of two papers' memory experiments: the wave RNN and the identity RNN (Keller
et al., arXiv:2309.08045), the coRNN and Neural Wave Machines with fixed constants
(Keller & Welling, ICML 2023, table 2).
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core import wave
from nwm_jax.core.linear_wave import LinearWaveHParams
from nwm_jax.core.wave import WaveHParams
from nwm_jax.errors import unknown
from nwm_jax.models.compiled import compiled
from nwm_jax.modules import functional
from nwm_jax.modules.dtypes import cast
from nwm_jax.modules.linear_wave_stack import LinearWaveStack
from nwm_jax.modules.sequence_cells import (
    SequenceCell,
    SequenceOscillatorCell,
    WaveRNNCell,
)


class Affine(nnx.Module):
    """``y = x kernel + bias`` on the last axis, drawn like a layer of PyTorch.

    Args:
      inputs: F.
      outputs: G.
      param_dtype: type of the weights.
      dtype: type of inputs, arithmetic and result; None: that of the weights.
      rngs: draws kernel and bias, both uniform in ±1/sqrt(F).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        for name, shape in (("kernel", (inputs, outputs)), ("bias", (outputs,))):
            drawn = wave.uniform(rngs.params(), shape, inputs, param_dtype)
            setattr(self, name, nnx.Param(drawn))
        self.dtype = dtype

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``[..., F]`` to ``[..., G]``."""
        x, kernel, bias = cast(self.dtype, x, self.kernel[...], self.bias[...])
        return x @ kernel + bias


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
    ) -> None:
        self.cell = cell
        self.every_step = every_step
        self._options = {"remat": remat, "implementation": implementation}
        widths = [cell.num_outputs, *([hidden] if hidden else []), outputs]
        self.readout = nnx.List(
            Affine(before, after, rngs=rngs)
            for before, after in itertools.pairwise(widths)
        )

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
        *hidden, output = self.readout
        for layer in hidden:
            y = jax.nn.relu(layer(y))
        return output(y)

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
) -> SequenceClassifier:
    """Builds the sequence model that a config describes.

    Args:
      model: the config's `model`. All: name (one of `CELLS`), readout_hidden. "wrnn"
        and "irnn": units, channels, activation, coupling_init, input_init, speed,
        zero_coupling_bias, frozen; "wrnn" also kernel_size, and local (a kernel for
        every place). Oscillators: dt, gamma, alpha, and units ("cornn", "uncoupled")
        or grid and channels ("nwm2d", "nwm1d"); "uncoupled" also train_scalars.
        Linear waves: blocks, scheme, dt_range, gamma_range and alpha_range, and units
        ("linoss") or grid, channels, kernel_size, gyroscopic and coupling ("lwm2d",
        "lwm1d").
      inputs: n_in, length of an input vector.
      outputs: n_out, length of an answer.
      every_step: answer after every step.
      remat: block length of rematerialisation in time; 0 = off.
      implementation: "auto" or "xla", see `core.wave.run`.
      rngs: draws the weights.

    Returns:
      The model.

    Raises:
      UserError: unknown model, or numbers that do not fit together.
    """
    if model.name not in CELLS:
        raise unknown("model", model.name, CELLS)
    cell = CELLS[model.name](model, inputs, rngs)
    return SequenceClassifier(
        cell,
        outputs,
        hidden=model.readout_hidden,
        every_step=every_step,
        remat=remat,
        implementation=implementation,
        rngs=rngs,
    )


def _wave(topology: str, model: Any, inputs: int, rngs: nnx.Rngs) -> WaveRNNCell:
    names = (
        "units channels activation coupling_init input_init speed "
        "zero_coupling_bias frozen"
    )
    options = {name: model[name] for name in names.split()}
    if topology != "dense":
        options["kernel_size"] = model.kernel_size
    return WaveRNNCell(WaveHParams(topology, inputs=inputs, **options), rngs=rngs)


def _wrnn(model: Any, inputs: int, rngs: nnx.Rngs) -> WaveRNNCell:
    return _wave("local" if model.local else "ring", model, inputs, rngs)


def _irnn(model: Any, inputs: int, rngs: nnx.Rngs) -> WaveRNNCell:
    return _wave("dense", model, inputs, rngs)


def _oscillators(
    model: Any, inputs: int, rngs: nnx.Rngs, size: tuple[int, ...], **options: Any
) -> SequenceOscillatorCell:
    options |= {name: model[name] for name in ("dt", "gamma", "alpha")}
    return SequenceOscillatorCell(model.name, size, inputs, **options, rngs=rngs)


def _field(model: Any, inputs: int, rngs: nnx.Rngs) -> SequenceOscillatorCell:
    grid = tuple(model.grid)
    return _oscillators(model, inputs, rngs, grid, channels=model.channels)


def _cornn(model: Any, inputs: int, rngs: nnx.Rngs) -> SequenceOscillatorCell:
    return _oscillators(model, inputs, rngs, (model.units,))


def _uncoupled(model: Any, inputs: int, rngs: nnx.Rngs) -> SequenceOscillatorCell:
    size, trained = (1, model.units), model.train_scalars
    return _oscillators(model, inputs, rngs, size, train_scalars=trained)


def _linear(
    model: Any, inputs: int, rngs: nnx.Rngs, topology: str, **options: Any
) -> LinearWaveStack:
    for name in ("dt", "gamma", "alpha"):
        options[name] = tuple(model[f"{name}_range"])
    hparams = LinearWaveHParams(
        topology, input_channels=inputs, scheme=model.scheme, **options
    )
    return LinearWaveStack(hparams, model.blocks, rngs=rngs)


def _linear_field(model: Any, inputs: int, rngs: nnx.Rngs) -> LinearWaveStack:
    names = ("channels", "kernel_size", "gyroscopic", "coupling")
    options = {name: model[name] for name in names}
    topology = "torus" if model.name == "lwm2d" else "ring"
    return _linear(model, inputs, rngs, topology, size=tuple(model.grid), **options)


def _linoss(model: Any, inputs: int, rngs: nnx.Rngs) -> LinearWaveStack:
    options = {"channels": model.units, "gyroscopic": False}
    return _linear(model, inputs, rngs, "point", **options)


#: What makes a cell, (settings, inputs, rngs) -> cell, by the name that configs call it.
CELLS: dict[str, Callable[[Any, int, nnx.Rngs], SequenceCell]] = {
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
