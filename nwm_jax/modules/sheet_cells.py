"""Recurrent sheets that see an image once and then run by themselves."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from nwm_jax.core import sheet
from nwm_jax.core.coupling import laplacian
from nwm_jax.core.layouts import Layout
from nwm_jax.core.sheet import (
    GatedState,
    GatedWeights,
    SheetScene,
    SheetState,
)
from nwm_jax.errors import UserError
from nwm_jax.modules.layers import MLP, Conv, ConvStack


class WaveSheet(nnx.Module):
    """Oscillators whose stiffness, damping and first position an image decides.

        gamma = relu(E_gamma(image)), alpha = relu(E_alpha(image)), x_0 = tanh(E_x(image)),
        v_0 = 0, then `core.sheet.sheet_step` (arXiv:2502.06034)

    E_gamma and E_alpha are stacks of three 3x3 convolutions, E_x one of four. The
    coupling starts as the Laplacian of every channel.

    Args:
      inputs: channels of the image.
      channels: C, oscillators at every pixel.
      width: channels between the convolutions.
      dt: length of a time step, fixed, in (0, 1).
      conv: implementation of the convolutions, see `modules.conv.conv`.
      param_dtype: type of the weights.
      dtype: type of inputs, states and arithmetic; None: that of the weights.
      rngs: draws the convolutions as PyTorch does.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        *,
        width: int,
        dt: float,
        conv: str,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        if not 0.0 < dt < 1.0:
            raise UserError(f"dt={dt:g} of a wave sheet must be between 0 and 1")
        torch: dict[str, Any] = {
            "init": "torch",
            "param_dtype": param_dtype,
            "dtype": dtype,
            "rngs": rngs,
        }

        def stack(layers: int) -> ConvStack:
            widths = [*[width] * (layers - 1), channels]
            return ConvStack(inputs, widths, jax.nn.relu, implementation=conv, **torch)

        self.gamma, self.alpha, self.x = stack(3), stack(3), stack(4)
        self.coupling = nnx.Param(jnp.asarray(laplacian(channels), param_dtype))
        self.channels = channels
        self.dt = dt

    def encode(self, images: jax.Array) -> tuple[SheetScene, SheetState]:
        """What an image sets, fields ``[N, H, W, C]``, and the first state."""
        scene = SheetScene(
            jax.nn.relu(self.gamma(images)), jax.nn.relu(self.alpha(images))
        )
        x = jnp.tanh(self.x(images))
        return scene, SheetState(x, jnp.zeros_like(x))

    def step(self, layout: Layout, scene: SheetScene, state: SheetState) -> SheetState:
        """One time step of fields in `layout`."""
        coupling = jnp.asarray(self.coupling[...], state.x.dtype)
        return sheet.sheet_step(layout, coupling, scene, state, self.dt)

    def read(self, state: SheetState) -> jax.Array:
        """The field of which the time series is read: positions."""
        return state.x


class ConvLSTM(nnx.Module):
    """A convolutional LSTM on a torus whose first state an image decides.

        u_0 = tanh(E_u(image)), h_0 = E_h(image), c_0 = E_c(image), then
        `core.sheet.gated_step` (arXiv:2502.06034, baseline)

    E_u is a stack of four 3x3 convolutions, E_h and E_c are stacks of three.

    Args:
      inputs: channels of the image.
      channels: C, of u, h and c.
      width: channels between the convolutions.
      conv: implementation of the convolutions, see `modules.conv.conv`.
      param_dtype: type of the weights.
      dtype: type of inputs, states and arithmetic; None: that of the weights.
      rngs: draws the weights, all as PyTorch does.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        *,
        width: int,
        conv: str,
        param_dtype: DTypeLike = jnp.float32,
        dtype: DTypeLike | None = None,
        rngs: nnx.Rngs,
    ) -> None:
        torch: dict[str, Any] = {
            "init": "torch",
            "param_dtype": param_dtype,
            "dtype": dtype,
            "rngs": rngs,
        }

        def stack(layers: int) -> ConvStack:
            widths = [*[width] * (layers - 1), channels]
            return ConvStack(inputs, widths, jax.nn.relu, implementation=conv, **torch)

        self.u, self.h, self.c = stack(4), stack(3), stack(3)
        self.gates = Conv(2 * channels, 4 * channels, **torch)
        widths = [channels, 2 * channels, channels]
        self.output = MLP(widths, activation=jax.nn.relu, **torch)
        self.channels = channels

    def encode(self, images: jax.Array) -> tuple[tuple[()], GatedState]:
        """Nothing, and the first state, fields ``[N, H, W, C]``."""
        u = jnp.tanh(self.u(images))
        return (), GatedState(u, self.h(images), self.c(images))

    def step(self, layout: Layout, scene: Any, state: GatedState) -> GatedState:
        """One time step of fields in `layout`."""
        layers: list[Any] = [self.gates, *self.output.layers]  # all have both
        gates, one, two = ((layer.kernel[...], layer.bias[...]) for layer in layers)
        weights = GatedWeights(*gates, (one, two))
        weights = jax.tree.map(lambda w: jnp.asarray(w, state.u.dtype), weights)
        return sheet.gated_step(layout, weights, state)

    def read(self, state: GatedState) -> jax.Array:
        """The field of which the time series is read: outputs u."""
        return state.u
