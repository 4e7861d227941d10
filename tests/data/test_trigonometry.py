"""Sine and cosine without a library, against those with one."""

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.data.host import float64_on_cpu
from nwm_jax.data.trigonometry import sin_cos


def test_right_to_the_last_bit_or_so():
    rng = np.random.default_rng(0)
    angles = rng.uniform(-1, 1, 50_000) * 10.0 ** rng.uniform(-6, 5, 50_000)
    exact = np.pi / 4 * np.arange(-9, 10)  # where quadrants and reductions meet
    angles = np.concatenate([angles, exact, np.nextafter(exact, 9), [0.0]])
    with float64_on_cpu():
        got = jax.jit(lambda a: sin_cos(jnp, a))(angles)
        assert got[0].dtype == jnp.float64
        sin, cos = map(np.asarray, got)
    wide = angles.astype(np.longdouble)
    np.testing.assert_allclose(sin, np.sin(wide), rtol=0, atol=2e-16)
    np.testing.assert_allclose(cos, np.cos(wide), rtol=0, atol=2e-16)


def test_other_arrays_keep_their_own():
    angles = np.linspace(-3, 3, 7)
    np.testing.assert_array_equal(sin_cos(np, angles)[0], np.sin(angles))
    single = sin_cos(jnp, jnp.asarray(angles, jnp.float32))
    assert single[1].dtype == jnp.float32
    np.testing.assert_allclose(single[1], np.cos(angles), atol=1e-6)
