"""The physical systems of the Hamiltonian Dynamics Suite (arXiv:2111.05458).

A system is a small class without state: its energy, its equations of motion, where its
particles are drawn, and how initial states are drawn. All follow

    dq/dt = dH/dp,    dp/dt = -dH/dq - friction dH/dp,

so that dH/dt = -friction |dH/dp|^2. NumPy in gives NumPy (float64) out; JAX arrays in
give JAX arrays out, so the same functions serve data, tests and differentiation.

Shapes: q and p are `[B, ..., D]`; every entry of `params` is `[B]`, or `[B, n]` where
it holds one number per particle.
"""

import difflib
import math
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nwm_jax.data import sampling
from nwm_jax.data.host import float64_on_cpu
from nwm_jax.data.simulate import integrate
from nwm_jax.errors import UserError

Params = Mapping[str, ArrayLike]
Array = np.ndarray | jax.Array


class Ranges(Protocol):
    """What a sampler reads of a dataset: `nwm_jax.data.suite.Spec`, or the like."""

    ranges: Mapping[str, tuple[float, float]]
    radius_range: tuple[float, float]
    uniform_area: bool


class System:
    """What all systems of particles share; subclasses give the physics."""

    name: str
    #: Longest step of the integrator; a frame is cut into as many as are needed.
    max_step: float

    def hamiltonian(self, params: Params, q: ArrayLike, p: ArrayLike) -> Array:
        """Energy H(q, p), `[B, ...]`, for q and p `[B, ..., D]`."""
        raise NotImplementedError

    def vector_field(
        self, params: Params, q: ArrayLike, p: ArrayLike, friction: ArrayLike = 0.0
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
        raise NotImplementedError

    def positions(self, params: Params, q: ArrayLike, offset: ArrayLike = 0.0) -> Array:
        """Where the particles are drawn, in world units.

        Args:
          params: constants of each trajectory.
          q: generalised positions, `[B, ..., D]`.
          offset: shift of the picture, `[B, 2]`, `[B, 1]` (both axes) or a scalar.

        Returns:
          Centres (x, y) of the n particles, `[B, ..., n, 2]`.
        """
        raise NotImplementedError

    def draw(self, key: jax.Array, spec: Ranges) -> tuple[dict, Array, Array]:
        """Draws one trajectory's params, q0 `[D]` and p0 `[D]` from one key."""
        raise NotImplementedError

    def radii(self, params: Params) -> Array:
        """Radii of the drawn particles, sqrt(m / pi): area equals mass. `[B, n]`."""
        m = params["m"]
        return sampling.particle_radius(_namespace(m).asarray(m)[..., None])

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
        """
        return integrate(
            self._flat_field,
            params,
            np.concatenate([np.asarray(q0), np.asarray(p0)], axis=-1),
            dt=dt,
            num_steps=num_steps,
            substeps=max(1, math.ceil(abs(dt) / self.max_step - 1e-9)),
            friction=friction,
        )

    def sample(
        self, key: jax.Array, n: int, spec: Ranges
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Draws params and initial states of n trajectories.

        Trajectory i depends on (key, i) alone: a longer sample begins with a shorter.

        Args:
          key: a JAX random key.
          n: how many.
          spec: ranges to draw from; a dataset of `nwm_jax.data.suite`.

        Returns:
          params (`[n]` or `[n, particles]` each), q0 `[n, D]`, p0 `[n, D]`, float64.
        """
        with float64_on_cpu():
            draw = jax.vmap(lambda i: self.draw(jax.random.fold_in(key, i), spec))
            return jax.tree.map(np.asarray, jax.jit(draw)(jnp.arange(n)))

    def _flat_field(self, params: Params, x: Array, friction: ArrayLike) -> Array:
        q, p = jnp.split(x, 2, axis=-1)
        return jnp.concatenate(self.vector_field(params, q, p, friction), axis=-1)


class MassSpring(System):
    """A mass on a spring: H = k q^2 / 2 + p^2 / (2 m); params k, m; moves along y."""

    name = "mass_spring"
    max_step = 0.05  # 1e-10 after 511 frames of dt = 0.05 with friction

    def hamiltonian(self, params: Params, q: ArrayLike, p: ArrayLike) -> Array:
        """k q^2 / 2 + p^2 / (2 m), `[B, ...]`."""
        _, (q, p), (k, m) = _aligned(params, (q, p), "k", "m")
        return (k * q**2 / 2 + p**2 / (2 * m))[..., 0]

    def vector_field(
        self, params: Params, q: ArrayLike, p: ArrayLike, friction: ArrayLike = 0.0
    ) -> tuple[Array, Array]:
        """dq/dt = p / m, dp/dt = -k q - friction p / m."""
        _, (q, p), (k, m) = _aligned(params, (q, p), "k", "m")
        velocity = p / m
        return velocity, -k * q - friction * velocity

    def positions(self, params: Params, q: ArrayLike, offset: ArrayLike = 0.0) -> Array:
        """(0, q) + offset, `[B, ..., 1, 2]`."""
        xp, (q,), () = _aligned(params, (q,))
        return xp.stack([xp.zeros_like(q), q], axis=-1) + _left(xp, offset, q.ndim + 1)

    def draw(self, key: jax.Array, spec: Ranges) -> tuple[dict, Array, Array]:
        """(q0, p0 / sqrt(k m)) uniform on an annulus."""
        for_params, for_state = jax.random.split(key)
        params = sampling.uniform_params(for_params, spec.ranges, ("k", "m"))
        q0, p0 = sampling.annulus(for_state, spec.radius_range, spec.uniform_area)
        return params, q0[None], (p0 * jnp.sqrt(params["k"] * params["m"]))[None]

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
        """As `System.simulate`; without friction the exact solution, a rotation.

        q(t) = q0 cos(w t) + p0 sin(w t) / (m w), p(t) = p0 cos(w t) - m w q0 sin(w t),
        w = sqrt(k / m). (The published generator rounds w to float32 first, which
        shifts phases by up to about 1e-7 w t.)
        """
        if friction:
            return super().simulate(
                params, q0, p0, dt=dt, num_steps=num_steps, friction=friction
            )
        k, m = (np.asarray(params[name], np.float64)[..., None] for name in "km")
        w = np.sqrt(k / m)
        angle = w * (dt * np.arange(num_steps + 1))  # [B, T]
        cos, sin = np.cos(angle), np.sin(angle)
        q0, p0 = np.asarray(q0, np.float64), np.asarray(p0, np.float64)
        return np.stack(
            [q0 * cos + p0 / (m * w) * sin, p0 * cos - m * w * q0 * sin], axis=-1
        )


class Pendulum(System):
    """A pendulum: H = m g l (1 - cos q) + p^2 / (2 m l^2); q is 0 hanging down."""

    name = "pendulum"
    max_step = 0.025  # 2e-10 after 255, 2e-9 after 511 frames of dt = 0.05

    def hamiltonian(self, params: Params, q: ArrayLike, p: ArrayLike) -> Array:
        """m g l (1 - cos q) + p^2 / (2 m l^2), `[B, ...]`."""
        xp, (q, p), (m, g, length) = _aligned(params, (q, p), "m", "g", "l")
        return (m * g * length * (1 - xp.cos(q)) + p**2 / (2 * m * length**2))[..., 0]

    def vector_field(
        self, params: Params, q: ArrayLike, p: ArrayLike, friction: ArrayLike = 0.0
    ) -> tuple[Array, Array]:
        """dq/dt = p / (m l^2), dp/dt = -m g l sin q - friction dq/dt."""
        xp, (q, p), (m, g, length) = _aligned(params, (q, p), "m", "g", "l")
        velocity = p / (m * length**2)
        return velocity, -m * g * length * xp.sin(q) - friction * velocity

    def positions(self, params: Params, q: ArrayLike, offset: ArrayLike = 0.0) -> Array:
        """l (sin q, -cos q) + offset, `[B, ..., 1, 2]`."""
        xp, (q,), (length,) = _aligned(params, (q,), "l")
        bob = xp.stack([length * xp.sin(q), -length * xp.cos(q)], axis=-1)
        return bob + _left(xp, offset, q.ndim + 1)

    def draw(self, key: jax.Array, spec: Ranges) -> tuple[dict, Array, Array]:
        """(q0, p0) on an annulus, rounded to float32 as the published generator does."""
        for_params, for_state = jax.random.split(key)
        params = sampling.uniform_params(for_params, spec.ranges, ("m", "g", "l"))
        state = sampling.annulus(for_state, spec.radius_range, spec.uniform_area)
        state = state.astype(jnp.float32).astype(jnp.float64)
        return params, state[:1], state[1:]


SYSTEMS: dict[str, System] = {s.name: s for s in (MassSpring(), Pendulum())}


def get(name: str) -> System:
    """The system called `name`: mass_spring, pendulum.

    Raises:
      UserError: there is no such system; the line names the nearest.
    """
    if name in SYSTEMS:
        return SYSTEMS[name]
    near = difflib.get_close_matches(name, SYSTEMS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(
        f"there is no system {name!r}: {hint}(systems: {', '.join(SYSTEMS)})"
    )


def _namespace(*arrays: Any) -> Any:
    """jax.numpy if any array is JAX's (a traced one too), else numpy."""
    return jnp if any(isinstance(a, jax.Array) for a in arrays) else np


def _left(xp: Any, value: ArrayLike, ndim: int) -> Array:
    """Offset `[B, 2]` (or `[B, 1]`, or a scalar) made to broadcast to `ndim` axes."""
    value = xp.asarray(value)
    if value.ndim < 2:
        return value
    middle = (1,) * (ndim - value.ndim)
    return value.reshape(*value.shape[:-1], *middle, value.shape[-1])


def _aligned(
    params: Params, states: tuple[ArrayLike, ...], *names: str
) -> tuple[Any, tuple[Array, ...], tuple[Array, ...]]:
    """Namespace, states, and `[B]` params with axes appended to the states' rank."""
    chosen = tuple(params[name] for name in names)
    xp = _namespace(*states, *chosen)
    states = tuple(xp.asarray(s) for s in states)
    ndim = states[0].ndim
    columns = []
    for value in chosen:
        value = xp.asarray(value)
        columns.append(value.reshape(value.shape + (1,) * (ndim - value.ndim)))
    return xp, states, tuple(columns)
