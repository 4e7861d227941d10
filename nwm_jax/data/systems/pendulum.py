"""The pendulum, and the pendulum that hangs from a pendulum."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nwm_jax.data import sampling
from nwm_jax.data.systems.base import (
    Array,
    Params,
    Ranges,
    ToySystem,
    aligned,
    left,
    namespace,
)
from nwm_jax.data.trigonometry import sin_cos


class Pendulum(ToySystem):
    """A pendulum: H = m g l (1 - cos q) + p^2 / (2 m l^2); q is 0 hanging down."""

    name = "pendulum"
    max_step = 0.025  # 2e-10 after 255, 2e-9 after 511 frames of dt = 0.05

    def hamiltonian(self, params: Params, q: ArrayLike, p: ArrayLike) -> Array:
        """Returns m g l (1 - cos q) + p^2 / (2 m l^2), `[B, ...]`."""
        xp, (q, p), (m, g, length) = aligned(params, (q, p), "m", "g", "l")
        return (m * g * length * (1 - xp.cos(q)) + p**2 / (2 * m * length**2))[..., 0]

    def vector_field(
        self, params: Params, q: ArrayLike, p: ArrayLike, friction: float | Array = 0.0
    ) -> tuple[Array, Array]:
        """dq/dt = p / (m l^2), dp/dt = -m g l sin q - friction dq/dt."""
        xp, (q, p), (m, g, length) = aligned(params, (q, p), "m", "g", "l")
        velocity = p / (m * length**2)
        return velocity, -m * g * length * xp.sin(q) - friction * velocity

    def positions(self, params: Params, q: ArrayLike, offset: ArrayLike = 0.0) -> Array:
        """Returns l (sin q, -cos q) + offset, `[B, ..., 1, 2]`."""
        xp, (q,), (length,) = aligned(params, (q,), "l")
        bob = xp.stack([length * xp.sin(q), -length * xp.cos(q)], axis=-1)
        return bob + left(xp, offset, q.ndim + 1)

    def draw(self, key: jax.Array, spec: Ranges) -> tuple[dict, Array, Array]:
        """(q0, p0) on an annulus, rounded to float32 as the published generator does."""
        for_params, for_state = jax.random.split(key)
        params = sampling.uniform_params(for_params, spec.ranges, ("m", "g", "l"))
        state = sampling.annulus(for_state, spec.radius_range, spec.uniform_area)
        state = state.astype(jnp.float32).astype(jnp.float64)
        return params, state[:1], state[1:]


class DoublePendulum(ToySystem):
    """A pendulum on a pendulum; both angles are measured from hanging down.

    With D = q_1 - q_2 and B = m_1 + m_2 sin^2 D,

        H = K - (m_1 + m_2) g l_1 cos q_1 - m_2 g l_2 cos q_2,
        K = (m_2 l_2^2 p_1^2 + (m_1 + m_2) l_1^2 p_2^2 - 2 m_2 l_1 l_2 p_1 p_2 cos D)
            / (2 m_2 l_1^2 l_2^2 B).
    """

    name = "double_pendulum"
    max_step = 0.05 / 16  # 3e-9 after 60 frames of dt = 0.05; then chaos decides

    def hamiltonian(self, params: Params, q: ArrayLike, p: ArrayLike) -> Array:
        """Kinetic plus potential energy, as above, `[B, ...]`; it may be negative."""
        xp, (q1, q2, p1, p2), (m1, m2, l1, l2, g) = _two_bobs(params, q, p)
        twist = 2 * m2 * l1**2 * l2**2 * (m1 + m2 * xp.sin(q1 - q2) ** 2)
        kinetic = _quadratic(xp.cos(q1 - q2), p1, p2, m1, m2, l1, l2) / twist
        potential = (m1 + m2) * l1 * xp.cos(q1) + m2 * l2 * xp.cos(q2)
        return kinetic - g * potential

    def vector_field(
        self, params: Params, q: ArrayLike, p: ArrayLike, friction: float | Array = 0.0
    ) -> tuple[Array, Array]:
        """dq/dt = dH/dp and dp/dt = -dH/dq - friction dq/dt of the energy above."""
        xp, (q1, q2, p1, p2), (m1, m2, l1, l2, g) = _two_bobs(params, q, p)
        (sin1, cos1), (sin2, cos2) = sin_cos(xp, q1), sin_cos(xp, q2)
        sin, cos = sin1 * cos2 - cos1 * sin2, cos1 * cos2 + sin1 * sin2  # of D
        b = m1 + m2 * sin**2
        v1 = (l2 * p1 - l1 * p2 * cos) / (l1**2 * l2 * b)
        v2 = ((m1 + m2) * l1 * p2 - m2 * l2 * p1 * cos) / (m2 * l1 * l2**2 * b)
        # dK/dD = direct - turned: D enters K through cos D and through B.
        direct = p1 * p2 * sin / (l1 * l2 * b)
        turned = _quadratic(cos, p1, p2, m1, m2, l1, l2)
        turned = turned * sin * cos / (l1 * l2 * b) ** 2
        f1 = -(m1 + m2) * g * l1 * sin1 - direct + turned - friction * v1
        f2 = -m2 * g * l2 * sin2 + direct - turned - friction * v2
        return xp.stack([v1, v2], -1), xp.stack([f1, f2], -1)

    def positions(self, params: Params, q: ArrayLike, offset: ArrayLike = 0.0) -> Array:
        """Both bobs, the second hanging from the first, + offset, `[B, ..., 2, 2]`."""
        xp, (q1, q2, _, _), (_, _, l1, l2, _) = _two_bobs(params, q, q)
        first = xp.stack([l1 * xp.sin(q1), -l1 * xp.cos(q1)], -1)
        second = first + xp.stack([l2 * xp.sin(q2), -l2 * xp.cos(q2)], -1)
        return xp.stack([first, second], -2) + left(xp, offset, q1.ndim + 2)

    def radii(self, params: Params) -> Array:
        """sqrt(m / pi) of both bobs, `[B, 2]`."""
        m1, m2 = params["m_1"], params["m_2"]
        xp = namespace(m1, m2)
        return sampling.particle_radius(xp.stack([xp.asarray(m1), xp.asarray(m2)], -1))

    def draw(self, key: jax.Array, spec: Ranges) -> tuple[dict, Array, Array]:
        """(q_1, p_1) and (q_2, p_2) each on the annulus, rounded to float32."""
        for_params, for_first, for_second = jax.random.split(key, 3)
        names = ("m_1", "m_2", "l_1", "l_2", "g")
        params = sampling.uniform_params(for_params, spec.ranges, names)
        state = jnp.stack(
            [
                sampling.annulus(k, spec.radius_range, spec.uniform_area)
                for k in (for_first, for_second)
            ],
            axis=-1,
        )
        q0, p0 = state.astype(jnp.float32).astype(jnp.float64)
        return params, q0, p0


def _two_bobs(params: Params, q: ArrayLike, p: ArrayLike):
    """Namespace, (q_1, q_2, p_1, p_2) and (m_1, m_2, l_1, l_2, g), all `[B, ...]`."""
    xp = namespace(q, p)
    angles, momenta = xp.asarray(q), xp.asarray(p)
    states = (angles[..., 0], angles[..., 1], momenta[..., 0], momenta[..., 1])
    return aligned(params, states, "m_1", "m_2", "l_1", "l_2", "g")


def _quadratic(cos, p1, p2, m1, m2, l1, l2):
    """The form in p_1, p_2 that the kinetic energy is a fraction of; cos is of D."""
    mixed = 2 * m2 * l1 * l2 * p1 * p2 * cos
    return m2 * (l2 * p1) ** 2 + (m1 + m2) * (l1 * p2) ** 2 - mixed
