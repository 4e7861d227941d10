"""Lennard-Jones particles in a periodic square box: a gas of 4, a dense fluid of 16.

Reduced units: mass, depth and size of the potential are 1. The pair energy
u(r) = 4 (r^-12 - r^-6) ends at half the side of the box and is not shifted there, so
that the energy jumps by u(r_c) = -0.03 (16 particles) or -3e-4 (4) whenever two
particles come within r_c; the forces do not.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nwm_jax.data.host import float64_on_cpu
from nwm_jax.data.simulate import count_substeps
from nwm_jax.data.systems import equilibration
from nwm_jax.data.systems.base import (
    Array,
    Params,
    Ranges,
    System,
    in_pairs,
    namespace,
)

_STEP = 0.002  # of velocity Verlet, in time units


class LennardJones(System):
    """N particles in two dimensions, all alike, at a given temperature and density.

    q = (x_1, y_1, x_2, y_2, ...); p likewise, the velocities. There are no params:
    give {}.

    Args:
      name: name of the system.
      num_particles: N, a square number.
      temperature: T* of the heat bath that prepares initial states.
      density: particles per unit of area.
      energy: mean energy in that heat bath; all initial states are given it.
      bath_time: how long the heat bath acts, in time units.

    Attributes:
      side: length of a side of the box, centred on 0.
      cutoff: r_c, beyond which particles do not feel each other.
    """

    max_step = _STEP

    def __init__(
        self,
        name: str,
        *,
        num_particles: int,
        temperature: float,
        density: float,
        energy: float,
        bath_time: float,
    ):
        self.name = name
        self.num_particles = num_particles
        self.temperature = temperature
        self.energy = energy
        self.bath_time = bath_time
        self.side = math.sqrt(num_particles / density)
        self.cutoff = self.side / 2

    def hamiltonian(self, params: Params, q: ArrayLike, p: ArrayLike) -> Array:
        """sum_{i<j} u(r_ij) [r_ij < r_c] + sum_i |p_i|^2 / 2, `[...]`.

        r_ij is the distance of the nearest images, of positions wrapped or not.
        """
        xp = namespace(q, p)
        potential = self.potential(xp, *_coordinates(xp, q))
        return potential + (xp.asarray(p) ** 2).sum(-1) / 2

    def vector_field(
        self, params: Params, q: ArrayLike, p: ArrayLike, friction: float | Array = 0.0
    ) -> tuple[Array, Array]:
        """dq/dt = p and dp/dt = forces - friction p, each `[..., 2N]`."""
        xp = namespace(q, p)
        velocity = xp.asarray(p)
        forces = _interleaved(xp, *self.forces(xp, *_coordinates(xp, q)))
        return velocity, forces - friction * velocity

    def positions(self, params: Params, q: ArrayLike, offset: ArrayLike = 0.0) -> Array:
        """The particles' own positions + offset, `[..., N, 2]`."""
        return in_pairs(q, offset)

    def wrap(self, q: ArrayLike) -> Array:
        """The images of positions inside the box, [-side / 2, side / 2]."""
        xp = namespace(q)
        places = xp.asarray(q)
        return places - self.side * xp.round(places / self.side)

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
        """See `System.simulate`; velocity Verlet with steps of 0.002.

        Frames that are no multiple of 0.002 apart are cut into equal shorter steps.
        Friction acts exactly, for half a step before and after each. Positions are not
        wrapped: they are continuous in time.
        """
        substeps = count_substeps(dt, self.max_step)
        q0, p0 = np.asarray(q0, np.float64), np.asarray(p0, np.float64)
        start = np.stack([*_coordinates(np, q0), *_coordinates(np, p0)])
        with float64_on_cpu():
            step = np.float64(dt) / substeps
            keep = np.exp(-friction * step / 2) if friction else None
            later = np.asarray(self._frames(start, step, keep, substeps, num_steps))
        frames = np.concatenate([start[None], later])  # [T, 4, N, B]
        frames = frames.reshape(-1, 2, 2, *start.shape[1:]).transpose(4, 0, 1, 3, 2)
        return frames.reshape(len(q0), num_steps + 1, -1)

    def sample(
        self, key: jax.Array, n: int, spec: Ranges | None = None
    ) -> tuple[dict, np.ndarray, np.ndarray]:
        """See `System.sample`: params {}, and states as `equilibrate` returns them."""
        with float64_on_cpu():
            keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(n))
            seeds = np.asarray(jax.random.key_data(keys))
        return {}, *self.equilibrate(seeds)

    def equilibrate(self, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """States of the box at its temperature; see `equilibration.equilibrate`.

        Args:
          seeds: key data of JAX's threefry generator, uint32 `[n, 2]`.

        Returns:
          q0 in the box and p0 of total momentum 0, float64 `[n, 2N]`.
        """
        x, y, vx, vy = equilibration.equilibrate(self, seeds).astype(np.float64)
        vx, vy = vx - vx.mean(0), vy - vy.mean(0)  # what float32 made of nothing
        q0 = np.asarray(self.wrap(_interleaved(np, x, y)))
        return q0, _interleaved(np, vx, vy)

    # Below, x and y are coordinates with the particles along axis 0, `[N, ...]`: pairs
    # along the first two axes and trajectories along the last are vectorised best.

    def pairs(self, xp: Any, x: Array, y: Array) -> tuple[Array, ...]:
        """dx, dy to nearest images, r^-6 and r^-2; both powers 0 beyond r_c."""
        dx, dy = x[:, None] - x[None], y[:, None] - y[None]
        dx = dx - self.side * xp.round(dx / self.side)
        dy = dy - self.side * xp.round(dy / self.side)
        # A particle is no neighbour of itself.
        itself = self.side**2 * np.eye(self.num_particles, dtype=x.dtype)
        itself = itself.reshape(itself.shape + (1,) * (x.ndim - 1))
        squared = dx * dx + dy * dy + itself
        inverse = xp.where(squared < self.cutoff**2, 1 / squared, 0)
        return dx, dy, inverse**3, inverse

    def potential(self, xp: Any, x: Array, y: Array) -> Array:
        """The potential energy, `[...]`."""
        _, _, sixth, _ = self.pairs(xp, x, y)
        return 2 * (sixth * (sixth - 1)).sum((0, 1))  # every pair comes twice

    def forces(self, xp: Any, x: Array, y: Array) -> tuple[Array, Array]:
        """The forces along x and y, each `[N, ...]`."""
        dx, dy, sixth, inverse = self.pairs(xp, x, y)
        strength = 24 * sixth * (2 * sixth - 1) * inverse
        return (strength * dx).sum(1), (strength * dy).sum(1)

    def verlet(
        self,
        state: tuple[jax.Array, ...],
        h: ArrayLike,
        steps: int,
        keep: ArrayLike | None = None,
    ) -> tuple[jax.Array, ...]:
        """Velocity Verlet, `steps` times, of (x, y, v_x, v_y, f_x, f_y).

        `keep` is what friction leaves of a velocity in half a step; None: all.
        """

        def once(_, state):
            x, y, vx, vy, fx, fy = state
            if keep is not None:
                vx, vy = keep * vx, keep * vy
            vx, vy = vx + h / 2 * fx, vy + h / 2 * fy
            x, y = x + h * vx, y + h * vy
            fx, fy = self.forces(jnp, x, y)
            vx, vy = vx + h / 2 * fx, vy + h / 2 * fy
            if keep is not None:
                vx, vy = keep * vx, keep * vy
            return x, y, vx, vy, fx, fy

        return jax.lax.fori_loop(0, steps, once, state)

    @functools.partial(jax.jit, static_argnums=(0, 5))
    def _frames(self, start, h, keep, substeps, num_steps):
        """The frames after the first, `[num_steps, 4, N, B]`; start `[4, N, B]`."""

        def frame(state, _):
            state = self.verlet(state, h, substeps, keep)
            return state, jnp.stack(state[:4])

        state = (*start, *self.forces(jnp, *start[:2]))
        return jax.lax.scan(frame, state, length=num_steps)[1]


def _coordinates(xp, q):
    """Returns x and y with the particles along axis 0, each `[N, ...]`, of q `[..., 2N]`."""
    q = xp.asarray(q)
    return xp.moveaxis(q[..., 0::2], -1, 0), xp.moveaxis(q[..., 1::2], -1, 0)


def _interleaved(xp, x, y):
    """The inverse of `_coordinates`."""
    both = xp.moveaxis(xp.stack([x, y]), (0, 1), (-1, -2))  # [..., N, 2]
    return both.reshape(*both.shape[:-2], -1)
