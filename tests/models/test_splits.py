"""Cutting training clips: clips whose pixels are the number of their frame."""

import jax.numpy as jnp
import numpy as np
import pytest

from nwm_jax.errors import UserError
from nwm_jax.models import splits


def frames(length, batch=1):
    """``[batch, length, 1, 1, 1]`` with the frame's number in every pixel."""
    clip = jnp.arange(float(length))[None, :, None, None, None]
    return jnp.broadcast_to(clip, (batch, length, 1, 1, 1))


def cut(split, batch=1):
    observed, targets, sign = splits.cut(split, frames(split.train_length, batch))
    return observed[..., 0, 0, 0], targets[..., 0, 0, 0], sign


@pytest.mark.parametrize(
    ("name", "length", "targets", "steps"),
    [
        ("overlap_by_one", 64, range(4, 64), (0, 59, True)),
        ("no_overlap", 65, range(5, 65), (0, 60, False)),
        ("include_inference", 65, range(65), (4, 60, True)),
    ],
)
def test_forward(name, length, targets, steps):
    split = splits.get("forward", name, 5, 60, reversible=True)
    observed, result, sign = cut(split)
    assert split.train_length == length and split.anchor == 4 and sign == 1.0
    assert (split.num_back, split.num_forward, split.include_start) == steps
    np.testing.assert_array_equal(observed[0], range(5))
    np.testing.assert_array_equal(result[0], targets)
    assert split.num_back + split.include_start + split.num_forward == len(targets)


def test_forward_backward():
    split = splits.get("forward_backward", "include_inference", 5, 60, reversible=True)
    assert (split.train_length, split.anchor) == (65, 2)
    assert (split.num_back, split.num_forward, split.include_start) == (2, 62, True)
    observed, targets, sign = cut(split, batch=4)
    for row in (0, 1):
        np.testing.assert_array_equal(observed[row], range(5))
        np.testing.assert_array_equal(targets[row], range(65))
    for row in (2, 3):
        np.testing.assert_array_equal(observed[row], range(60, 65))
        np.testing.assert_array_equal(targets[row], range(64, -1, -1))
    np.testing.assert_array_equal(sign, [1, 1, -1, -1])


def test_original_network_gives_back_what_it_saw():
    split = splits.get("forward", "include_inference", 31, 0, reversible=True)
    assert (split.train_length, split.anchor) == (31, 30)
    assert (split.num_back, split.num_forward, split.include_start) == (30, 0, True)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("both", "no_overlap", 5, 60, True), "unknown training 'both'"),
        (("forward", "half", 5, 60, True), "unknown split 'half'"),
        (("forward_backward", "no_overlap", 5, 60, True), "needs split include_infer"),
        (("forward_backward", "include_inference", 4, 60, True), "an odd number"),
        (("forward", "include_inference", 5, 60, False), "runs backward"),
        (("forward_backward", "include_inference", 5, 60, False), "runs backward"),
        (("forward", "no_overlap", 5, 0, True), "num_target is 0"),
        (("forward", "overlap_by_one", 5, 0, True), "num_target is 0"),
        (("forward", "overlap_by_one", 0, 60, True), "num_observed is 0"),
    ],
)
def test_what_does_not_go_together(arguments, match):
    with pytest.raises(UserError, match=match):
        splits.get(*arguments)


def test_clips_of_another_length():
    split = splits.get("forward", "no_overlap", 5, 60, reversible=True)
    with pytest.raises(UserError, match="have 64 frames, but this model needs 65"):
        splits.cut(split, frames(64))
