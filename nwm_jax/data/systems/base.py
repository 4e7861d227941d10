"""What a system is, and how arrays of several ranks meet in its equations.

A system is a small class without state: its energy, its equations of motion, where its
particles are drawn, and how initial states are drawn (`ToySystem`: all but the
Lennard-Jones boxes). All follow

    dq/dt = dH/dp,    dp/dt = -dH/dq - friction dH/dp,

so that dH/dt = -friction |dH/dp|^2. NumPy in gives NumPy (float64) out; JAX arrays in
give JAX arrays out, so the same functions serve data, tests and differentiation.

Shapes: q and p are `[B, ..., D]`; every entry of `params` is `[B]`, or `[B, n]` where
it holds one number per particle.
"""

import abc
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nwm_jax.data import sampling
from nwm_jax.data.host import float64_on_cpu
from nwm_jax.data.simulate import (
    count_substeps,
    integrate,
    integrate_adaptively,
)
from nwm_jax.errors import UserError

Params = Mapping[str, ArrayLike]
Array = np.ndarray | jax.Array


class Ranges(Protocol):
    """What a sampler reads of a dataset: `nwm_jax.data.specs.Particles`, or the like."""

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Returns (lo, hi) of each constant by name."""

    @property
    def radius_range(self) -> tuple[float, float]:
        """Returns lo and hi of the annulus of initial states."""

    @property
    def uniform_area(self) -> bool:
        """Returns whether the annulus is filled uniformly by area."""


class System(abc.ABC):
    """What all systems of particles share."""

    name: str
    #: Longest step of the integrator; a frame is cut into as many as are needed.
    max_step: float

    @abc.abstractmethod
    def hamiltonian(self, params: Params, q: ArrayLike, p: ArrayLike) -> Array:
        """Energy H(q, p), `[B, ...]`, for q and p `[B, ..., D]`."""

    @abc.abstractmethod
    def vector_field(
        self, params: Params, q: ArrayLike, p: ArrayLike, friction: float | Array = 0.0
    ) -> tuple[Array, Array]:
        """Right-hand side of the equations of motion.

        Args:
          params: constants of each trajectory, `[B]` or `[B, n]` each.
          q: generalised positions, `[B, ..., D]`.
          p: generalised momenta, `[B, ..., D]`.
          friction: drag on the generalised velocities dH/dp, at least 0.

        Returns:
          dq/dt and dp/dt, each `[B, ..., D]`.
        """

    @abc.abstractmethod
    def positions(self, params: Params, q: ArrayLike, offset: ArrayLike = 0.0) -> Array:
        """Where the particles are drawn, in world units.

        Args:
          params: constants of each trajectory.
          q: generalised positions, `[B, ..., D]`.
          offset: shift of the picture, `[B, 2]`, `[B, 1]` (both axes) or a scalar.

        Returns:
          Centres (x, y) of the n particles, `[B, ..., n, 2]`.
        """

    @abc.abstractmethod
    def simulate(
        self,
        params: Params,
        q0: ArrayLike,
        p0: ArrayLike,
        *,
        dt: float,
        num_steps: int,
        friction: float = 0.0,
    ) -> np.ndarray:
        """Trajectories from given initial states, in float64 on the CPU.

        Args:
          params: constants of each trajectory, `[B]` or `[B, n]` each.
          q0: initial positions, `[B, D]`.
          p0: initial momenta, `[B, D]`.
          dt: time between frames; negative runs back in time.
          num_steps: how many frames follow the first.
          friction: drag, at least 0.

        Returns:
          x = (q, p) at times 0, dt, ..., num_steps dt: float64
          `[B, num_steps + 1, 2D]`.

        Raises:
          UserError: the trajectories cannot be followed, or dt is far too long.
        """

    @abc.abstractmethod
    def sample(
        self, key: jax.Array, n: int, spec: Ranges
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Draws params and initial states of n trajectories.

        Trajectory i depends on (key, i) alone: a longer sample begins with a shorter.

        Args:
          key: a JAX random key.
          n: how many.
          spec: ranges to draw from; a dataset of `nwm_jax.data.suite`. Not looked at
            by systems without ranges, which may be given None.

        Returns:
          params (`[n]` or `[n, particles]` each), q0 `[n, D]`, p0 `[n, D]`, float64.
        """


class ToySystem(System):
    """A system with constants to draw, followed by the methods of order eight."""

    @abc.abstractmethod
    def draw(self, key: jax.Array, spec: Ranges) -> tuple[dict, Array, Array]:
        """Draws one trajectory's params, q0 `[D]` and p0 `[D]` from one key."""

    def radii(self, params: Params) -> Array:
        """Radii of the drawn particles, sqrt(m / pi): area equals mass. `[B, n]`."""
        m = params["m"]
        return sampling.particle_radius(namespace(m).asarray(m)[..., None])

    def simulate(
        self,
        params: Params,
        q0: ArrayLike,
        p0: ArrayLike,
        *,
        dt: float,
        num_steps: int,
        friction: float = 0.0,
    ) -> np.ndarray:
        """See `System.simulate`; each trajectory in steps as short as it needs."""
        x = self._integrate(
            integrate_adaptively, params, q0, p0, dt, num_steps, friction
        )
        frames = np.isfinite(x).all(axis=-1)
        if not frames.all():
            lost = int(np.argmin(frames.all(axis=1)))
            last = int(np.argmin(frames[lost])) - 1
            raise UserError(
                f"{self.name}: trajectory {lost} cannot be followed beyond frame {last} "
                f"(dt {dt:g}): its bodies collide or its forces are too strong; give "
                "other initial states or constants, fewer frames or a shorter dt"
            )
        return x

    def simulate_steadily(
        self,
        params: Params,
        q0: ArrayLike,
        p0: ArrayLike,
        *,
        dt: float,
        num_steps: int,
        friction: float = 0.0,
    ) -> np.ndarray:
        """As `simulate`, faster: in equal steps of at most `max_step`, unchecked.

        The steps are short enough for what the named datasets draw.
        """
        return self._integrate(integrate, params, q0, p0, dt, num_steps, friction)

    def sample(
        self, key: jax.Array, n: int, spec: Ranges
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """See `System.sample`."""
        with float64_on_cpu():
            draw = jax.vmap(lambda i: self.draw(jax.random.fold_in(key, i), spec))
            return jax.tree.map(np.asarray, jax.jit(draw)(jnp.arange(n)))

    def _integrate(self, method, params, q0, p0, dt, num_steps, friction):
        return method(
            self._flat_field,
            params,
            np.concatenate([np.asarray(q0), np.asarray(p0)], axis=-1),
            dt=dt,
            num_steps=num_steps,
            substeps=count_substeps(dt, self.max_step),
            friction=friction,
        )

    def _flat_field(self, params: Params, x: Array, friction: float | Array) -> Array:
        q, p = jnp.split(x, 2, axis=-1)
        return jnp.concatenate(self.vector_field(params, q, p, friction), axis=-1)


def in_pairs(q: ArrayLike, offset: ArrayLike) -> Array:
    """Places (x_1, y_1, x_2, y_2, ...) `[B, ..., 2n]` + offset, `[B, ..., n, 2]`."""
    xp = namespace(q)
    flat = xp.asarray(q)
    centres = flat.reshape(*flat.shape[:-1], -1, 2)
    return centres + left(xp, offset, centres.ndim)


def namespace(*arrays: Any) -> Any:
    """jax.numpy if any array is JAX's (a traced one too), else numpy."""
    return jnp if any(isinstance(a, jax.Array) for a in arrays) else np


def left(xp: Any, value: ArrayLike, ndim: int) -> Array:
    """Offset `[B, 2]` (or `[B, 1]`, or a scalar) made to broadcast to `ndim` axes."""
    shift = xp.asarray(value)
    if shift.ndim < 2:
        return shift
    middle = (1,) * (ndim - shift.ndim)
    return shift.reshape(*shift.shape[:-1], *middle, shift.shape[-1])


def aligned(
    params: Params, states: tuple[ArrayLike, ...], *names: str
) -> tuple[Any, tuple[Array, ...], tuple[Array, ...]]:
    """Namespace, states, and `[B]` params with axes appended to the states' rank."""
    chosen = tuple(params[name] for name in names)
    xp = namespace(*states, *chosen)
    arrays = tuple(xp.asarray(s) for s in states)
    ndim = arrays[0].ndim
    columns = []
    for value in chosen:
        column = xp.asarray(value)
        columns.append(column.reshape(column.shape + (1,) * (ndim - column.ndim)))
    return xp, arrays, tuple(columns)
