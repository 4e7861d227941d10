"""The terms of a variational bound for binary images, and the norm without weights."""

import jax
import jax.numpy as jnp

# Added to a variance, as PyTorch's layer norm does.
EPSILON = 1e-5


def standardise(x: jax.Array, num_axes: int) -> jax.Array:
    """Returns the last axes together mean 0 and variance 1.

        y = (x - mean) / sqrt(var + 1e-5),

    with the biased variance: a layer norm without weights.

    Args:
      x: any real array.
      num_axes: how many of the last axes belong to one example, >= 1.

    Returns:
      The shape of `x`.

    Source: Ba, Kiros & Hinton, "Layer Normalization", arXiv:1607.06450, eq. 3.
    """
    axes = tuple(range(-num_axes, 0))
    centred = x - jnp.mean(x, axes, keepdims=True)
    variance = jnp.mean(centred**2, axes, keepdims=True)
    return centred * jax.lax.rsqrt(variance + EPSILON)


def kl_to_standard_normal(mean: jax.Array, logvar: jax.Array) -> jax.Array:
    """KL divergence of Normal(mean, exp(logvar)) from Normal(0, 1), number by number.

        KL = (mean² + exp(logvar) - 1 - logvar) / 2

    Args:
      mean: any shape.
      logvar: logarithm of the variance, the same shape.

    Returns:
      Nats, >= 0, the same shape.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes", arXiv:1312.6114,
    appendix B.
    """
    return 0.5 * (mean**2 + jnp.exp(logvar) - 1.0 - logvar)


def bernoulli_nll(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """Negative log-likelihood of pixels under Bernoulli probabilities, pixel by pixel.

        -[y log p + (1 - y) log(1 - p)] = log(1 + exp(l)) - y l,    p = sigmoid(l)

    Grey levels y between 0 and 1 are taken as they are. Computed from logits it does not
    saturate; programs that take p cut it at 15.94 nats.

    Args:
      logits: l, any shape.
      targets: y in [0, 1], the same shape.

    Returns:
      Nats, >= 0, the same shape.

    Source: Kingma & Welling, arXiv:1312.6114, appendix C.1.
    """
    return jax.nn.softplus(logits) - targets * logits
