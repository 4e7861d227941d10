"""Sums over the pixels of an image of which the scores of a segmentation are made.

All are additive over pixels, so that they can be gathered part by part.
"""

import jax
import jax.numpy as jnp

from nwm_jax.core.layouts import Layout

Sums = dict[str, jax.Array]


def training_sums(layout: Layout, logits: jax.Array, labels: jax.Array) -> Sums:
    """What is followed in training, for every example.

    Args:
      layout: of the logits.
      logits: a field of K channels, one for each class; class 0 is the background.
      labels: int, the same without the axis of channels.

    Returns:
      "cross_entropy" (sum over all pixels), "right" (pixels whose largest logit is that
      of their class), and the numbers of such and of all pixels of another class than
      0, "foreground_right" and "foreground": ``[N]`` each, float.
    """
    axis = layout.channel
    classes = layout.along_channels(jnp.arange(logits.shape[axis]), logits.ndim)
    true = classes == jnp.expand_dims(labels, axis)
    # A sum over the classes instead of an indexed look-up: it runs along the pixels.
    chosen = jnp.where(true, logits, 0).sum(axis)
    cross_entropy = jax.nn.logsumexp(logits, axis) - chosen
    right = jnp.argmax(logits, axis) == labels
    foreground = labels != 0
    return _over_pixels(
        layout,
        {
            "cross_entropy": cross_entropy,
            "right": right,
            "foreground_right": right & foreground,
            "foreground": foreground,
        },
        logits.dtype,
    )


def all_sums(layout: Layout, logits: jax.Array, labels: jax.Array) -> Sums:
    """All that scores are made of.

    Args:
      layout: of the logits.
      logits: a field of K channels.
      labels: int, the same without the axis of channels.

    Returns:
      Beside `training_sums`: "foreground_cross_entropy"; "bits_and" and "bits_or", the
      sums of the bitwise and, and or, of the numbers of the classes; and for every
      class, ``[N, K]``, the pixels that are of it ("truth"), that are said to be
      ("answers"), and of both ("both").
    """
    axis = layout.channel
    answers = jnp.argmax(logits, axis).astype(labels.dtype)
    chosen = jnp.take_along_axis(logits, jnp.expand_dims(labels, axis), axis)
    cross_entropy = jax.nn.logsumexp(logits, axis) - chosen.squeeze(axis)
    sums = _over_pixels(
        layout,
        {
            "foreground_cross_entropy": cross_entropy * (labels != 0),
            "bits_and": answers & labels,
            "bits_or": answers | labels,
        },
        logits.dtype,
    )
    by_class: dict[str, list[jax.Array]] = {"truth": [], "answers": [], "both": []}
    for k in range(logits.shape[axis]):
        truth, answer = labels == k, answers == k
        pixels = {"truth": truth, "answers": answer, "both": truth & answer}
        for name, value in _over_pixels(layout, pixels, logits.dtype).items():
            by_class[name].append(value)
    stacked = {name: jnp.stack(values, axis=-1) for name, values in by_class.items()}
    return training_sums(layout, logits, labels) | sums | stacked


def _over_pixels(layout: Layout, values: Sums, dtype: jnp.dtype) -> Sums:
    # Without channels the examples are on the first axis or the last one.
    axes = (1, 2) if layout.channel == -1 else (0, 1)
    return {name: value.astype(dtype).sum(axis=axes) for name, value in values.items()}
