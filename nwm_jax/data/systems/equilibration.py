"""States of a Lennard-Jones box at its temperature, many at a time.

The protocol of the published sets, shortened: random places (one particle in each cell
of a square lattice), descent to less energy, a Langevin heat bath, and twice a
rescaling of the velocities that gives every state the mean energy of the bath, with two
time units of free motion after each. The published sets spent 10,000 time units in the
bath and cut trajectories out of a few long ones; here every trajectory has a box of its
own. Mean energies of the dense fluid are stationary after 2 time units in the bath,
those of the gas after 20.
"""

import functools
import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.data.host import float64_on_cpu
from nwm_jax.data.systems.base import Array

# In time units.
_DAMPING = 0.2  # mean time for the bath to redirect a velocity
_KICK_EVERY = 0.02
_BATH_STEP = 0.005  # of velocity Verlet between the kicks
_RELAX_STEP = 0.002  # of velocity Verlet without the bath
_RELAX_STEPS = 1000  # after each of two rescalings

_DESCENT_STEPS = 200
_DESCENT_RATE = 0.002
_LONGEST_DESCENT = 0.05

# Boxes are equilibrated this many at a time, always: they are chaotic, so that only
# the same program in the same place gives the same numbers.
_BLOCK = 256


class Box(Protocol):
    """What is read of a `LennardJones`."""

    num_particles: int
    temperature: float
    energy: float
    bath_time: float
    side: float

    def potential(self, xp: Any, x: Array, y: Array) -> Array:
        """The potential energy."""

    def forces(self, xp: Any, x: Array, y: Array) -> tuple[Array, ...]:
        """The forces along x and y."""

    def verlet(
        self, state: tuple[jax.Array, ...], h: float, steps: int
    ) -> tuple[jax.Array, ...]:
        """Velocity Verlet of (x, y, v_x, v_y, f_x, f_y)."""


def equilibrate(box: Box, seeds: np.ndarray) -> np.ndarray:
    """Prepares a state of the box from each seed.

    Args:
      box: a `LennardJones`; the same object on every call, or all is compiled anew.
      seeds: key data of JAX's threefry generator, uint32 `[n, 2]`.

    Returns:
      x, y, v_x and v_y of the N particles, float32 `[4, N, n]`: positions not wrapped,
      velocities without total momentum.
    """
    padded = np.resize(seeds, (-(-len(seeds) // _BLOCK) * _BLOCK, 2))
    with float64_on_cpu():
        blocks = [
            np.asarray(_equilibrated(box, block))
            for block in padded.reshape(-1, _BLOCK, 2)
        ]
    return np.concatenate(blocks, -1)[..., : len(seeds)]


@functools.partial(jax.jit, static_argnums=0)
def _equilibrated(box, seeds):
    keys = jax.vmap(
        lambda seed: jax.random.split(
            jax.random.wrap_key_data(seed, impl="threefry2x32"), 3
        )
    )(seeds)
    for_places, for_velocities, for_bath = keys[:, 0], keys[:, 1], keys[:, 2]
    x, y = _descend(box, *_places(box, for_places))
    state = (x, y, *_thermal(box, for_velocities), *box.forces(jnp, x, y))
    # The bath acts on the velocities alone and exactly; in between they are free.
    keep = math.exp(-_KICK_EVERY / _DAMPING)
    renew = math.sqrt(1 - keep**2)

    def kick(i, state):
        between = round(_KICK_EVERY / _BATH_STEP)
        x, y, vx, vy, fx, fy = box.verlet(state, _BATH_STEP, between)
        now = jax.vmap(jax.random.fold_in, (0, None))(for_bath, i)
        new_x, new_y = _thermal(box, now)
        return x, y, keep * vx + renew * new_x, keep * vy + renew * new_y, fx, fy

    kicks = round(box.bath_time / _KICK_EVERY)
    x, y, vx, vy, fx, fy = jax.lax.fori_loop(0, kicks, kick, state)
    # About one gas in a thousand is caught in a collision, with more potential energy
    # than it is to have in all: it goes on from rest, and is right the second time.
    for _ in range(2):
        kinetic = jnp.maximum(box.energy - box.potential(jnp, x, y), 0)
        scale = jnp.sqrt(kinetic / ((vx**2 + vy**2).sum(0) / 2))
        state = (x, y, scale * vx, scale * vy, fx, fy)
        x, y, vx, vy, fx, fy = box.verlet(state, _RELAX_STEP, _RELAX_STEPS)
    return jnp.stack([x, y, vx, vy])


def _places(box, keys):
    """One particle in each cell of a square lattice, a tenth off its walls, `[N, B]`.

    Which particle, and where the lattice begins, is random: nothing later would change
    that quickly in a dense box whose centre of mass is at rest.
    """
    n = box.num_particles
    rows = math.isqrt(n)
    lattice = np.stack(np.divmod(np.arange(n), rows)).astype(np.float32)

    def draw(key):
        for_cells, for_inside, for_origin = jax.random.split(key, 3)
        cells = jax.random.permutation(for_cells, n)
        inside = jax.random.uniform(for_inside, (2, n), jnp.float32, 0.1, 0.9)
        origin = jax.random.uniform(for_origin, (2, 1), jnp.float32)
        return (jnp.asarray(lattice)[:, cells] + inside) / rows + origin

    x, y = box.side * jnp.moveaxis(jax.vmap(draw)(keys), 0, -1)
    return x, y


def _descend(box, x, y):
    """Goes down the potential, no particle further than a little in one step."""

    def once(_, place):
        x, y = place
        fx, fy = box.forces(jnp, x, y)
        force = jnp.sqrt(fx**2 + fy**2)
        rate = _DESCENT_RATE / (1 + _DESCENT_RATE / _LONGEST_DESCENT * force)
        return x + rate * fx, y + rate * fy

    return jax.lax.fori_loop(0, _DESCENT_STEPS, once, (x, y))


def _thermal(box, keys):
    """Velocities of the temperature, with no total momentum, `[2, N, B]`."""
    shape = (2, box.num_particles)
    draw = jax.vmap(lambda key: jax.random.normal(key, shape, jnp.float32))
    normal = jnp.moveaxis(draw(keys), 0, -1)
    return math.sqrt(box.temperature) * (normal - normal.mean(1, keepdims=True))
