"""How the latent state of a forecaster moves: four kinds of learned dynamics.

Botev et al., Which priors matter? (arXiv:2111.05458). z is the state; where there are
pairs, its last axis is positions, then momenta or velocities. A trajectory is z one dt
apart, ``[B, T, ..., D]``.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nwm_jax.core import integrators
from nwm_jax.errors import UserError
from nwm_jax.models import solvers

Network = Callable[[jax.Array], jax.Array]


class Dynamics(nnx.Module):
    """The interface of the dynamics.

    Attributes:
      reversible: whether it also runs backward in time.
      pairing: "halves" where z is positions and momenta (or velocities), else "".
    """

    reversible: bool = True
    pairing: str = ""

    def trajectory(
        self,
        z: jax.Array,
        dt: jax.Array | float,
        num_back: int,
        num_forward: int,
        include_start: bool = True,
    ) -> jax.Array:
        """The states around z, in order of time.

        Args:
          z: ``[B, ..., D]``.
          dt: time between states, a number or ``[B]``; its sign says which way is
            forward.
          num_back: states before z, >= 0.
          num_forward: states after z, >= 0.
          include_start: whether z itself stands between them.

        Returns:
          ``[B, num_back + include_start + num_forward, ..., D]``.

        Raises:
          UserError: num_back > 0 where the dynamics is not reversible.
        """
        raise NotImplementedError

    def visible(self, z: jax.Array) -> jax.Array:
        """What the decoder sees of states: the positions where there are, else all."""
        return jnp.split(z, 2, axis=-1)[0] if self.pairing else z


class Hamiltonian(Dynamics):
    """A separable Hamiltonian network, ``H(q, p) = K(p) + U(q)``.

        dq/dt = dK/dp,  dp/dt = -dU/dq

    Hamiltonian Generative Network (arXiv:1909.13789, section 3.1).

    Args:
      kinetic: K, ``[..., d] -> [...]``.
      potential: U, ``[..., d] -> [...]``.
      integrator: "dopri5" or any name of `core.integrators`.
      remat: block length of rematerialisation in time, see `core.unroll`; 0 = off.

    Raises:
      UserError: unknown integrator.
    """

    pairing = "halves"

    def __init__(
        self,
        kinetic: Network,
        potential: Network,
        *,
        integrator: str = "leapfrog",
        remat: int = 0,
    ) -> None:
        solvers.check(integrator, separable=True)
        self.kinetic = kinetic
        self.potential = potential
        self.integrator = integrator
        self.remat = remat

    def energy(self, z: jax.Array) -> jax.Array:
        """H of states: ``[..., D] -> [...]``."""
        q, p = jnp.split(z, 2, axis=-1)
        return self.kinetic(p) + self.potential(q)

    def trajectory(self, z, dt, num_back, num_forward, include_start=True):
        """See `Dynamics.trajectory`."""
        velocity = jax.grad(lambda p: jnp.sum(self.kinetic(p)))
        force = jax.grad(lambda q: -jnp.sum(self.potential(q)))

        def slopes(y):
            return velocity(y[1]), force(y[0])

        separable = self.integrator in integrators.SYMPLECTIC
        states = solvers.solve(
            (velocity, force) if separable else slopes,
            self.integrator,
            tuple(jnp.split(z, 2, axis=-1)),
            dt,
            num_back,
            num_forward,
            include_start=include_start,
            remat=self.remat,
        )
        return jnp.concatenate(states, axis=-1)


class Lagrangian(Dynamics):
    """A Lagrangian network with a mass that depends on the position.

        L(q, v) = v^T M(q) v / 2 - U(q),  M(q) = A(q)^T A(q) + 1
        dv/dt = M(q)^-1 (dL/dq - (dM/dt) v),  dM/dt along the motion

    A is upper triangular, its entries row by row the outputs of a network. The state
    is (q, v). Lagrangian neural networks (arXiv:2003.04630) as in arXiv:2111.05458.

    Args:
      kinetic: the entries of A, ``[..., n] -> [..., n (n + 1) / 2]``.
      potential: U, ``[..., n] -> [...]``.
      integrator: "dopri5" or a general method of `core.integrators`.
      remat: block length of rematerialisation in time, see `core.unroll`; 0 = off.

    Raises:
      UserError: unknown or symplectic integrator.
    """

    pairing = "halves"

    def __init__(
        self,
        kinetic: Network,
        potential: Network,
        *,
        integrator: str = "midpoint",
        remat: int = 0,
    ) -> None:
        solvers.check(integrator, separable=False)
        self.kinetic = kinetic
        self.potential = potential
        self.integrator = integrator
        self.remat = remat

    def mass(self, q: jax.Array) -> jax.Array:
        """M of positions: ``[..., n] -> [..., n, n]``, symmetric, eigenvalues >= 1."""
        n = q.shape[-1]
        rows, columns = np.triu_indices(n)
        factor = jnp.zeros((*q.shape, n), q.dtype)
        factor = factor.at[..., rows, columns].set(self.kinetic(q))
        return jnp.swapaxes(factor, -1, -2) @ factor + jnp.eye(n, dtype=q.dtype)

    def acceleration(self, q: jax.Array, v: jax.Array) -> jax.Array:
        """dv/dt, ``[..., n]`` like q and v."""

        def lagrangian(q: jax.Array) -> jax.Array:
            kinetic = jnp.einsum("...i,...ij,...j->...", v, self.mass(q), v) / 2
            return jnp.sum(kinetic - self.potential(q))

        mass, rate = jax.jvp(self.mass, (q,), (v,))
        momentum_rate = jax.grad(lagrangian)(q)
        force = momentum_rate - jnp.einsum("...ij,...j->...i", rate, v)
        factor = jax.scipy.linalg.cho_factor(mass)
        return jax.scipy.linalg.cho_solve(factor, force[..., None])[..., 0]

    def energy(self, z: jax.Array) -> jax.Array:
        """``v^T M(q) v / 2 + U(q)`` of states: ``[..., D] -> [...]``."""
        q, v = jnp.split(z, 2, axis=-1)
        kinetic = jnp.einsum("...i,...ij,...j->...", v, self.mass(q), v) / 2
        return kinetic + self.potential(q)

    def trajectory(self, z, dt, num_back, num_forward, include_start=True):
        """See `Dynamics.trajectory`."""
        states = solvers.solve(
            lambda y: (y[1], self.acceleration(*y)),
            self.integrator,
            tuple(jnp.split(z, 2, axis=-1)),
            dt,
            num_back,
            num_forward,
            include_start=include_start,
            remat=self.remat,
        )
        return jnp.concatenate(states, axis=-1)


class NeuralODE(Dynamics):
    """Any vector field, ``dz/dt = f(z)`` (arXiv:1806.07366).

    Args:
      net: f, ``[..., D] -> [..., D]``.
      integrator: "dopri5" or a general method of `core.integrators`.
      remat: block length of rematerialisation in time, see `core.unroll`; 0 = off.

    Raises:
      UserError: unknown or symplectic integrator.
    """

    def __init__(
        self,
        net: Network,
        *,
        integrator: str = solvers.ADAPTIVE,
        remat: int = 0,
    ) -> None:
        solvers.check(integrator, separable=False)
        self.net = net
        self.integrator = integrator
        self.remat = remat

    def trajectory(self, z, dt, num_back, num_forward, include_start=True):
        """See `Dynamics.trajectory`."""
        return solvers.solve(
            self.net,
            self.integrator,
            z,
            dt,
            num_back,
            num_forward,
            include_start=include_start,
            remat=self.remat,
        )


class Recurrent(Dynamics):
    """A map from one frame to the next: ``z' = z + f(z)``, or ``z' = f(z)``.

    The benchmark's RGN. It knows no dt, and does not run backward.

    Args:
      net: f, ``[..., D] -> [..., D]``.
      residual: whether z is added to f(z).
      remat: block length of rematerialisation in time, see `core.unroll`; 0 = off.
    """

    reversible = False

    def __init__(self, net: Network, *, residual: bool = True, remat: int = 0) -> None:
        self.net = net
        self.residual = residual
        self.remat = remat

    def trajectory(self, z, dt, num_back, num_forward, include_start=True):
        """See `Dynamics.trajectory`; dt does not matter."""
        if num_back:
            raise UserError("a recurrent map (rgn) does not run backward in time")

        def step(z: jax.Array, _: jax.Array | float) -> jax.Array:
            return z + self.net(z) if self.residual else self.net(z)

        states = integrators.integrate(step, z, dt, num_forward, remat=self.remat)
        start = [z[:, None]] if include_start else []
        return jnp.concatenate([*start, states], axis=1)
