"""Which frames of a training clip a latent model observes, and which it must give.

Botev et al., arXiv:2111.05458 (appendix on training): n_o = num_observed frames are
observed, z is the state at one of them, and the model is run from there.

    split               clip           observed      targets           z at
    overlap_by_one      n_o + n_t - 1  first n_o     last n_t          n_o - 1
    no_overlap          n_o + n_t      first n_o     last n_t          n_o - 1
    include_inference   n_o + n_t      first n_o     all, in order     n_o - 1

With training "forward_backward" (and include_inference) z is at the middle one of the
observed frames, and the second half of the batch runs backward: it observes the last
n_o frames, in order, and must give all frames in the reverse order with dt negative.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nwm_jax.errors import UserError, unknown

TRAINING = ("forward", "forward_backward")
SPLITS = ("overlap_by_one", "no_overlap", "include_inference")


class Split(NamedTuple):
    """How clips are cut, in frames.

    Attributes:
      train_length: length of a training clip.
      num_observed: frames that are observed.
      anchor: which of the observed frames z is the state of.
      first_target: the first frame that the model must give.
      num_back: frames it must give before the anchor.
      num_forward: frames it must give after the anchor.
      include_start: whether it must give the anchor itself.
      both_ways: whether half of the batch runs backward.
    """

    train_length: int
    num_observed: int
    anchor: int
    first_target: int
    num_back: int
    num_forward: int
    include_start: bool
    both_ways: bool


def get(
    training: str, split: str, num_observed: int, num_target: int, reversible: bool
) -> Split:
    """The split that a config names.

    Args:
      training: one of `TRAINING`.
      split: one of `SPLITS`.
      num_observed: n_o >= 1; odd for "forward_backward".
      num_target: n_t >= 0.
      reversible: whether the model runs backward.

    Returns:
      The split.

    Raises:
      UserError: an unknown name, or what does not go together.
    """
    if training not in TRAINING:
        raise unknown("training", training, TRAINING)
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    both_ways = training == "forward_backward"
    inclusive = split == "include_inference"
    if not reversible and (both_ways or inclusive):
        raise UserError(
            f"training {training} with split {split} needs a model that runs backward: "
            "choose forward and overlap_by_one or no_overlap"
        )
    if both_ways and not inclusive:
        raise UserError(f"training {training} needs split include_inference")
    if num_observed < 1 or (both_ways and num_observed % 2 == 0):
        raise UserError(
            f"num_observed is {num_observed}, but training {training} needs "
            f"{'an odd number' if both_ways else 'at least 1'}"
        )
    length = num_observed + num_target - (split == "overlap_by_one")
    anchor = num_observed // 2 if both_ways else num_observed - 1
    if length <= anchor or (split == "no_overlap" and num_target < 1):
        raise UserError(f"num_target is {num_target}, but must be at least 1")
    first = {"overlap_by_one": anchor, "no_overlap": anchor + 1}.get(split, 0)
    return Split(
        train_length=length,
        num_observed=num_observed,
        anchor=anchor,
        first_target=first,
        num_back=max(anchor - first, 0),
        num_forward=length - 1 - anchor,
        include_start=first <= anchor,
        both_ways=both_ways,
    )


def cut(
    split: Split, images: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array | float]:
    """Cuts training clips.

    Args:
      split: how.
      images: ``[B, train_length, ...]``.

    Returns:
      The observed frames ``[B, num_observed, ...]`` in order of time; the targets in
      the order in which the model gives them; and the sign of dt, 1.0 or, where half
      of the batch runs backward, ``[B]`` of 1.0 and -1.0. Which half an example is in
      depends on its row alone, so that nothing moves between devices.

    Raises:
      UserError: clips of another length.
    """
    if images.shape[1] != split.train_length:
        raise UserError(
            f"training clips have {images.shape[1]} frames, but this model needs "
            f"{split.train_length}"
        )
    first = images[:, : split.num_observed]
    if not split.both_ways:
        return first, images[:, split.first_target :], 1.0
    batch = images.shape[0]
    forward = jnp.arange(batch) < batch // 2
    rows = forward.reshape(batch, *[1] * (images.ndim - 1))
    observed = jnp.where(rows, first, images[:, -split.num_observed :])
    targets = jnp.where(rows, images, images[:, ::-1])
    sign = jnp.where(forward, 1.0, -1.0).astype(images.dtype)
    return observed, targets, sign
