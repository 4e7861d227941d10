"""Bodies in the plane that attract each other."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nwm_jax.data import sampling
from nwm_jax.data.systems.base import (
    Array,
    Params,
    Ranges,
    ToySystem,
    aligned,
    in_pairs,
    namespace,
)


class Gravity(ToySystem):
    """n bodies: H = -sum_{i<j} g m_i m_j / |q_i - q_j| + sum_i |p_i|^2 / (2 m_i).

    q = (x_1, y_1, x_2, y_2, ...), p likewise; params m `[B, n]`, g `[B]`. The attraction
    is not softened.
    """

    num_bodies: int
    max_step = 0.01  # 1e-7 after 255 frames of dt = 0.05 on the narrowest orbits

    def hamiltonian(self, params: Params, q: ArrayLike, p: ArrayLike) -> Array:
        """-sum_{i<j} g m_i m_j / |q_i - q_j| + sum_i |p_i|^2 / (2 m_i), `[B, ...]`."""
        xp, m, g, bodies = self._bodies(params, q, p)
        energy: Any = 0.0  # an array from the first term on
        for i, (q_i, p_i) in enumerate(bodies):
            energy = energy + (p_i**2).sum(-1) / (2 * m[i])
            for j in range(i):
                distance = xp.sqrt(((q_i - bodies[j][0]) ** 2).sum(-1))
                energy = energy - g * m[i] * m[j] / distance
        return energy

    def vector_field(
        self, params: Params, q: ArrayLike, p: ArrayLike, friction: float | Array = 0.0
    ) -> tuple[Array, Array]:
        """dq_i/dt = p_i / m_i, dp_i/dt = attraction - friction p_i / m_i.

        The attraction is -sum_{j != i} g m_i m_j (q_i - q_j) / |q_i - q_j|^3.
        """
        xp, m, g, bodies = self._bodies(params, q, p)
        velocities = [p_i / m[i][..., None] for i, (_, p_i) in enumerate(bodies)]
        forces = [-friction * velocity for velocity in velocities]
        for i, (q_i, _) in enumerate(bodies):
            for j in range(i):
                apart = q_i - bodies[j][0]
                cubed = (apart**2).sum(-1) ** 1.5
                pull = (g * m[i] * m[j] / cubed)[..., None] * apart
                forces[i] = forces[i] - pull
                forces[j] = forces[j] + pull
        return xp.concatenate(velocities, -1), xp.concatenate(forces, -1)

    def positions(self, params: Params, q: ArrayLike, offset: ArrayLike = 0.0) -> Array:
        """The bodies' own positions + offset, `[B, ..., n, 2]`."""
        return in_pairs(q, offset)

    def radii(self, params: Params) -> Array:
        """sqrt(m / pi), `[B, n]`."""
        m = params["m"]
        return sampling.particle_radius(namespace(m).asarray(m))

    def _bodies(self, params: Params, q: ArrayLike, p: ArrayLike):
        """Namespace, m of each body, g, and (q_i, p_i) `[B, ..., 2]` of each body."""
        xp = namespace(q, p, *params.values())
        places, momenta = xp.asarray(q), xp.asarray(p)
        parts = [slice(2 * i, 2 * i + 2) for i in range(self.num_bodies)]
        masses = xp.asarray(params["m"])
        split = {f"m_{i}": masses[..., i] for i in range(self.num_bodies)}
        columns = {**split, "g": params["g"]}
        _, _, (*m, g) = aligned(columns, (places[..., 0],), *columns)
        return xp, m, g, [(places[..., part], momenta[..., part]) for part in parts]

    def _draw_params(self, key: jax.Array, spec: Ranges) -> dict[str, jax.Array]:
        for_m, for_g = jax.random.split(key)
        return {
            "m": sampling.uniform(for_m, spec.ranges["m"], (self.num_bodies,)),
            "g": sampling.uniform(for_g, spec.ranges["g"]),
        }


class TwoBody(Gravity):
    """Two bodies on either side of the origin; on circles if m = g = 1."""

    name = "two_body"
    num_bodies = 2

    def draw(self, key: jax.Array, spec: Ranges) -> tuple[dict, Array, Array]:
        """Draws q = (a, b, -a, -b), a and b uniform in the radius range; p = (v, -v).

        v = (b, -a) / (2 r^1.5) with r = |(a, b)|: for m = g = 1 the speed of a circular
        orbit. (In the published generator a equals g to the last bit under newer JAX,
        because one key serves both; here keys are independent.)
        """
        for_params, for_state = jax.random.split(key)
        a, b = point = sampling.uniform(for_state, spec.radius_range, (2,))
        momentum = jnp.stack([b, -a]) / (2 * jnp.sqrt(a**2 + b**2) ** 1.5)
        return (
            self._draw_params(for_params, spec),
            jnp.concatenate([point, -point]),
            jnp.concatenate([momentum, -momentum]),
        )


class ThreeBody(Gravity):
    """Three bodies on the corners of a triangle around the origin.

    They may come so near to each other that no one step serves all trajectories.
    """

    name = "three_body"
    num_bodies = 3
    simulate_steadily = ToySystem.simulate

    def draw(self, key: jax.Array, spec: Ranges) -> tuple[dict, Array, Array]:
        """One body at a random place, the others turned by 120 and 240 degrees.

        Its distance r is uniform in the radius range; its momentum, turned with the
        places, is f (y, x) / r^1.5 with f = sqrt(sin 60 / (2 cos^2 30)) (degrees), as
        in the published generator: in general not perpendicular to (x, y).
        """
        for_params, for_direction, for_radius = jax.random.split(key, 3)
        direction = jax.random.uniform(for_direction, (2,), jnp.float64, -1.0, 1.0)
        r = sampling.uniform(for_radius, spec.radius_range)
        place = r * direction / jnp.linalg.norm(direction)
        factor = np.sqrt(np.sin(np.pi / 3) / (2 * np.cos(np.pi / 6) ** 2))
        momentum = factor * place[::-1] / r**1.5
        cos, sin = np.cos(2 * np.pi / 3), np.sin(2 * np.pi / 3)
        turn = np.array([[cos, -sin], [sin, cos]])
        turns = [np.eye(2), turn, turn @ turn]
        return (
            self._draw_params(for_params, spec),
            jnp.concatenate([t @ place for t in turns]),
            jnp.concatenate([t @ momentum for t in turns]),
        )
