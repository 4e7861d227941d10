"""The terms of the bound against the reference program's numbers."""

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax.core import elbo


def test_standardise():
    """PyTorch's layer norm of (1, 2, 3, 10), over any number of axes."""
    expected = [-0.84852780, -0.56568520, -0.28284260, 1.69705560]
    x = jnp.array([1.0, 2.0, 3.0, 10.0])
    np.testing.assert_allclose(elbo.standardise(x, 1), expected, atol=1e-6)
    square = jnp.stack([x, x + 5]).reshape(2, 2, 2, 1)
    result = np.asarray(elbo.standardise(square, 3))
    np.testing.assert_allclose(result.reshape(2, 4), [expected, expected], atol=1e-5)


def test_divergence():
    mean, logvar = jnp.array([0.5, -1.0]), jnp.array([0.2, -0.6])
    result = elbo.kl_to_standard_normal(mean, logvar)
    np.testing.assert_allclose(result, [0.13570138, 0.57440582], atol=1e-7)
    assert elbo.kl_to_standard_normal(jnp.zeros(3), jnp.zeros(3)).sum() == 0
    result = elbo.kl_to_standard_normal(0.3, 2 * jnp.log(0.5))
    np.testing.assert_allclose(result, (0.25 + 0.09 - 1) / 2 - np.log(0.5), rtol=1e-6)


def test_likelihood():
    """Of p = 0.3, 0.9, 0.5; what saturates there does not do so from logits."""
    p, y = np.array([0.3, 0.9, 0.5]), jnp.array([0.25, 0.9, 0.5])
    result = elbo.bernoulli_nll(jnp.asarray(np.log(p / (1 - p)), jnp.float32), y)
    np.testing.assert_allclose(result, [0.568499, 0.325083, 0.693147], atol=1e-6)
    wrong = elbo.bernoulli_nll(jnp.array([-60.0, 60.0]), jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(wrong, 60.0)
    slope = jax.grad(lambda l: elbo.bernoulli_nll(l, 1.0))(-60.0)
    np.testing.assert_allclose(slope, -1.0)
