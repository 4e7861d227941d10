"""The mass on a spring."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nwm_jax.data import sampling
from nwm_jax.data.simulate import count_substeps
from nwm_jax.data.systems.base import Array, Params, Ranges, ToySystem, aligned, left


class MassSpring(ToySystem):
    """A mass on a spring: H = k q^2 / 2 + p^2 / (2 m); params k, m; moves along y."""

    name = "mass_spring"
    max_step = 0.05  # 1e-10 after 511 frames of dt = 0.05 with friction

    def hamiltonian(self, params: Params, q: ArrayLike, p: ArrayLike) -> Array:
        """Returns k q^2 / 2 + p^2 / (2 m), `[B, ...]`."""
        _, (q, p), (k, m) = aligned(params, (q, p), "k", "m")
        return (k * q**2 / 2 + p**2 / (2 * m))[..., 0]

    def vector_field(
        self, params: Params, q: ArrayLike, p: ArrayLike, friction: float | Array = 0.0
    ) -> tuple[Array, Array]:
        """dq/dt = p / m, dp/dt = -k q - friction p / m."""
        _, (q, p), (k, m) = aligned(params, (q, p), "k", "m")
        velocity = p / m
        return velocity, -k * q - friction * velocity

    def positions(self, params: Params, q: ArrayLike, offset: ArrayLike = 0.0) -> Array:
        """(0, q) + offset, `[B, ..., 1, 2]`."""
        xp, (q,), () = aligned(params, (q,))
        return xp.stack([xp.zeros_like(q), q], axis=-1) + left(xp, offset, q.ndim + 1)

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
        """See `System.simulate`; without friction the exact solution, a rotation."""
        if not friction:
            return self._rotate(params, q0, p0, dt, num_steps)
        return super().simulate(
            params, q0, p0, dt=dt, num_steps=num_steps, friction=friction
        )

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
        """As `ToySystem.simulate_steadily`; without friction the exact solution."""
        if not friction:
            return self._rotate(params, q0, p0, dt, num_steps)
        return super().simulate_steadily(
            params, q0, p0, dt=dt, num_steps=num_steps, friction=friction
        )

    def _rotate(self, params, q0, p0, dt, num_steps):
        """The motion without friction, `[B, num_steps + 1, 2]`.

        q(t) = q0 cos(w t) + p0 sin(w t) / (m w), p(t) = p0 cos(w t) - m w q0 sin(w t),
        w = sqrt(k / m). (The published generator rounds w to float32 first, which
        shifts phases by up to about 1e-7 w t.)
        """
        count_substeps(dt, self.max_step)  # refuses the same dt as with friction
        k, m = (np.asarray(params[name], np.float64)[..., None] for name in "km")
        w = np.sqrt(k / m)
        angle = w * (dt * np.arange(num_steps + 1))  # [B, T]
        cos, sin = np.cos(angle), np.sin(angle)
        q0, p0 = np.asarray(q0, np.float64), np.asarray(p0, np.float64)
        return np.stack(
            [q0 * cos + p0 / (m * w) * sin, p0 * cos - m * w * q0 * sin], axis=-1
        )
