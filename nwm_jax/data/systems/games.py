"""Two players who learn a zero-sum game: replicator dynamics.

The state x = (s, w) holds the mixed strategies of both players, each on its simplex.
With the payoffs U[player, action 1, action 2],

    ds_i/dt = s_i (f_i - s.f),    f = U[0] w,
    dw_j/dt = w_j (h_j - w.h),    h = U[1]^T s.

In both games here the mean of log s plus the mean of log w stays what it is.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nwm_jax.data.host import float64_on_cpu
from nwm_jax.data.simulate import count_substeps, integrate
from nwm_jax.data.systems.base import Array, Ranges, namespace

#: A player who shows the same side as the other wins; the other wants to differ.
PENNIES = np.array([[1.0, -1.0], [-1.0, 1.0]])
#: Rock, paper, scissors: what the row's player gains against the column's.
ROCK_PAPER_SCISSORS = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])

_RESOLUTION = 32
# Longest step of the integrator for payoffs up to 1: 1e-12 after 511 frames of dt = 0.1.
_MAX_STEP = 0.05


class Game:
    """A two-player zero-sum game of `num_actions` actions each.

    Args:
      name: its name.
      gain: what player 1 gains, and player 2 loses, `[n, n]` by their actions.

    Attributes:
      payoff: U, float64 `[2, n, n]`.
      num_actions: n.
      max_step: longest step of the integrator.
    """

    def __init__(self, name: str, gain: np.ndarray):
        self.name = name
        self.payoff = np.stack([gain, -gain])
        self.num_actions = len(gain)
        self.max_step = _MAX_STEP / max(1.0, float(np.abs(gain).max()))

    def vector_field(self, payoff: ArrayLike, x: ArrayLike) -> Array:
        """The replicator equation.

        Args:
          payoff: U, `[2, n, n]`; usually `self.payoff`.
          x: strategies (s, w), `[..., 2n]`.

        Returns:
          dx/dt, `[..., 2n]`.
        """
        xp = namespace(payoff, x)
        table = xp.asarray(payoff)
        s, w = xp.split(xp.asarray(x), 2, axis=-1)
        f, h = w @ table[0].T, s @ table[1]
        return xp.concatenate(
            [
                s * (f - (s * f).sum(-1, keepdims=True)),
                w * (h - (w * h).sum(-1, keepdims=True)),
            ],
            axis=-1,
        )

    def invariant(self, x: ArrayLike) -> Array:
        """mean_i log s_i + mean_j log w_j, `[...]`, for x `[..., 2n]`: constant."""
        xp = namespace(x)
        s, w = xp.split(xp.log(xp.asarray(x)), 2, axis=-1)
        return s.mean(-1) + w.mean(-1)

    def simulate(
        self, payoff: ArrayLike, x0: ArrayLike, *, dt: float, num_steps: int
    ) -> np.ndarray:
        """Trajectories from given strategies, as `System.simulate` returns them.

        Args:
          payoff: U, `[2, n, n]`; usually `self.payoff`. Larger payoffs make all faster,
            and steps shorter.
          x0: strategies at time 0, `[B, 2n]`.
          dt: time between frames; negative runs back in time.
          num_steps: how many frames follow the first.

        Returns:
          x at times 0, dt, ..., num_steps dt: float64 `[B, num_steps + 1, 2n]`.

        Raises:
          UserError: dt is far too long.
        """
        stakes = max(1.0, float(np.abs(payoff).max()))
        return integrate(
            self._field,
            {"payoff": payoff},
            x0,
            dt=dt,
            num_steps=num_steps,
            substeps=count_substeps(dt, _MAX_STEP / stakes),
        )

    def observe(self, x: ArrayLike) -> Array:
        """The joint strategy as a grey picture: a block per pair of actions.

        Rows of blocks are actions of player 1; the brightness of a block is s_i w_j.
        Blocks have ceil(32 / n) pixels a side, the last ones are cut.

        Args:
          x: strategies, `[..., 2n]`.

        Returns:
          Images in [0, 1], `[..., 32, 32, 3]`.
        """
        xp = namespace(x)
        s, w = xp.split(xp.asarray(x), 2, axis=-1)
        block = np.arange(_RESOLUTION) // -(-_RESOLUTION // self.num_actions)
        image = s[..., block, None] * w[..., None, block]
        return xp.broadcast_to(image[..., None], (*image.shape, 3))

    def draw(self, key: jax.Array) -> jax.Array:
        """Draws strategies of both players, uniform on their simplexes, `[2n]`.

        Each is the n lengths into which n - 1 uniform points cut [0, 1].
        """
        cuts = jax.random.uniform(key, (2, self.num_actions - 1), jnp.float64)
        lengths = jnp.diff(jnp.sort(cuts), prepend=0.0, append=1.0)
        return lengths.reshape(-1)

    def sample(self, key: jax.Array, n: int, spec: Ranges | None = None) -> np.ndarray:
        """Draws strategies of n trajectories; trajectory i depends on (key, i) alone.

        Args:
          key: a JAX random key.
          n: how many.
          spec: not looked at, there are no ranges to draw from.

        Returns:
          x0, float64 `[n, 2 num_actions]`.
        """
        with float64_on_cpu():
            draw = jax.vmap(lambda i: self.draw(jax.random.fold_in(key, i)))
            return np.asarray(jax.jit(draw)(jnp.arange(n)))

    def _field(self, params, x: Array) -> Array:
        return self.vector_field(params["payoff"], x)
