"""Channels that are bad, and where a movie is bright."""

import numpy as np
import scipy.ndimage

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import blocks, spread
from nwm_jax.waves.sites import grid_sites, scattered_sites

POLICIES = ("refuse", "drop", "interpolate")

_RUN = 3  # samples at the extreme value in a row that make a channel clipped
_CLIPPED = 1e-3  # of the samples, at the extreme value, too
_LEVELS = 256  # of integers: with fewer, a slow peak has equal samples, too
_NEAR, _WIDE = 0.01, 0.04  # of what lies between the 10th and the 90th percentile
_FRAMES_OF_SPREAD = 512  # that these percentiles are of
_PLATEAU = 0.7  # of the samples within _WIDE of the extreme lie within _NEAR
_SOFT, _FEWEST = 1e-2, 10  # of the samples, and samples, within _NEAR
_AT_LIMIT = 0.99  # of the largest number of a type
_NAMED = 8  # channels that a message names
_MOST_FOR_PERCENTILE = 4096  # frames
_WRONG = {
    "partly NaN": "partly NaN (they hold NaN or infinity at some times)",
    "flat": "flat (constant)",
    "clipped": "clipped (often and repeatedly at their highest or lowest value)",
}


def find_bad(data: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the channels that are not fit to be analysed, by what is wrong.

    A channel is clipped if it is 3 times in a row and in at least 0.1 % of the samples at
    its highest or lowest value (hard limit; integers of fewer than 256 levels are left to
    the next rule), or if 3 samples in a row and at least 1 % of all (10) lie so near to that
    value as 1 % of its spread (10th to 90th percentile), and these are 0.7 or more of
    those within 4 % (a plateau: soft saturation, or noise added behind a hard limit; the
    smooth peak of a wave has 0.5). A value that a channel holds for half of the time is
    where it rests, not a limit.

    Args:
      data: real [T, ...].

    Returns:
      bool [...] each: "missing" (NaN at all times), "partly NaN" (or infinite), "flat"
      (constant), "clipped", "at rest" (half of the time or more at its highest or lowest
      value) and "near a limit" (signed integers within 1 % of what their type holds).
    """
    length = len(data)
    flat = data.reshape(length, -1)
    size = flat.shape[1]
    count, low, high = (
        np.zeros(size, int),
        np.full(size, np.inf),
        np.full(size, -np.inf),
    )
    for part in blocks(length, size):
        block = np.asarray(flat[part])
        finite = np.isfinite(block)
        count += finite.sum(axis=0)
        some = block if finite.all() else np.where(finite, block, np.nan)
        low = np.fmin(low, np.fmin.reduce(some, axis=0))
        high = np.fmax(high, np.fmax.reduce(some, axis=0))
    whole = (count == length) & (low < high)
    sample = np.asarray(flat[spread(length, _FRAMES_OF_SPREAD)], np.float64)
    span = np.subtract(*np.percentile(sample, [90, 10], axis=0))
    clipped, rests = np.zeros(size, bool), np.zeros(size, bool)
    # The floor of unsigned numbers is darkness, not a limit that was hit.
    for sign in (1,) if data.dtype.kind == "u" else (1, -1):
        at_edge, at_rest = _at_edge(flat, low, high, span, sign)
        clipped |= at_edge
        rests |= at_rest
    result = {
        "missing": count == 0,
        "partly NaN": (count > 0) & (count < length),
        "flat": (count > 0) & (low == high),
        "clipped": clipped & whole,
        "at rest": rests & whole,
        "near a limit": np.zeros(size, bool),
    }
    if data.dtype.kind == "i" and data.dtype.itemsize > 1:
        limit = _AT_LIMIT * np.iinfo(data.dtype).max
        result["near a limit"] = whole & ~clipped & ((high > limit) | (low < -limit))
    return {name: value.reshape(data.shape[1:]) for name, value in result.items()}


def _at_edge(flat, low, high, span, sign):
    """Which channels are clipped at their high (sign 1) or low edge, and which rest there.

    Args:
      flat: [T, N].
      low: lowest finite value of each channel, [N].
      high: highest finite value, [N].
      span: between the 10th and the 90th percentile, [N].
      sign: 1 or -1.

    Returns:
      Two arrays bool [N].
    """
    length, size = flat.shape
    edge = high if sign > 0 else low
    # In the type of the data: blocks of float32 stay float32.
    bounds = [(edge - sign * part * span) for part in (0.0, _NEAR, _WIDE)]
    bounds = [b.astype(flat.dtype) if flat.dtype.kind == "f" else b for b in bounds]
    counts = np.zeros((3, size), int)
    run = np.zeros((2, size), bool)
    for part in blocks(length, size):
        start = max(part.start - _RUN + 1, 0)  # a run may begin in the last block
        block = np.asarray(flat[start : part.stop])
        for k, bound in enumerate(bounds):
            at = block >= bound if sign > 0 else block <= bound
            counts[k] += at[part.start - start :].sum(axis=0)
            if k < 2:
                run[k] |= (at[2:] & at[1:-1] & at[:-2]).any(axis=0)
    hard = run[0] & (counts[0] >= max(_RUN, _CLIPPED * length))
    if flat.dtype.kind in "iu":
        hard &= high - low >= _LEVELS
        span = np.where(_WIDE * span >= 2, span, 0)  # two levels at least
    often = counts[1] >= max(_FEWEST, _SOFT * length)
    often &= (span > 0) & (counts[1] < length / 2)
    soft = run[1] & often & (counts[1] >= _PLATEAU * counts[2])
    rests = counts[0] >= length / 2
    return (hard | soft) & ~rests, rests


def auto_mask(data: np.ndarray) -> np.ndarray:
    """Returns where a movie is bright: bool [H, W].

    The threshold between bright and dark pixels of the mean image is Otsu's; the
    largest connected part stays and its holes are filled.

    Args:
      data: real [T, H, W].

    Raises:
      UserError: the mean image is even.

    Source: Otsu 1979, doi:10.1109/TSMC.1979.4310076.
    """
    image = np.nan_to_num(np.mean(some_frames(data), axis=0, dtype=np.float64))
    count, edges = np.histogram(image, 256)
    if image.max() <= image.min():
        raise UserError("--mask=auto finds no bright part: the mean image is even")
    middle = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(count)
    total = np.cumsum(count * middle)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = (total / below - (total[-1] - total) / above) ** 2 * below * above
    bright = image > edges[1:][np.nanargmax(apart)]
    label, parts = scipy.ndimage.label(bright)
    sizes = np.bincount(label.ravel(), minlength=parts + 1)[1:]
    return scipy.ndimage.binary_fill_holes(label == 1 + sizes.argmax())


def some_frames(data: np.ndarray) -> np.ndarray:
    """Returns at most 4,096 frames, evenly spread: enough for means and percentiles."""
    return np.asarray(data[spread(len(data), _MOST_FOR_PERCENTILE)])


def judge(data, inside, policy, positions, notes):
    """Which channels are left out, and which are filled from which neighbours."""
    bad = {name: where & inside for name, where in find_bad(data).items()}
    serious = ["partly NaN", "flat"] + (["clipped"] if policy is not None else [])
    if bad["at rest"].any():
        notes.append(
            f"{describe(bad['at rest'])} half of the time or more at one value: at rest, "
            "or at a limit"
        )
    if bad["near a limit"].any():
        notes.append(
            f"warning: {describe(bad['near a limit'])} within 1 % of the limits of "
            f"{data.dtype}: look for saturation or artefacts there"
        )
    if policy in (None, "refuse"):
        for name in serious:
            if bad[name].any():
                raise UserError(
                    f"{describe(bad[name])} {_WRONG[name]}: leave them out with --bad=drop or "
                    "fill them from their neighbours with --bad=interpolate"
                )
        if bad["clipped"].any():
            notes.append(
                f"warning: {describe(bad['clipped'])} clipped; --bad=drop leaves them "
                "out"
            )
        return ~inside | bad["missing"], []
    wrong = bad["missing"]
    for name in serious:
        wrong = wrong | bad[name]
        if bad[name].any():
            done = "left out" if policy == "drop" else "interpolated"
            notes.append(f"{describe(bad[name])} {name}: {done}")
    if policy == "drop":
        return ~inside | wrong, []
    sites = grid_sites(inside) if positions is None else scattered_sites(positions)
    first, second = (sites.index[end] for end in sites.edges.T)
    spoilt, filled = wrong.ravel(), []
    left = spoilt.copy()
    for channel in np.flatnonzero(spoilt):
        near = np.concatenate([second[first == channel], first[second == channel]])
        near = near[~spoilt[near]]
        if len(near) >= 2:
            filled.append((int(channel), near))
            left[channel] = False
    return ~inside | left.reshape(wrong.shape), filled


def describe(where: np.ndarray) -> str:
    """Returns "3 channel(s) (row 1 column 2, ...) are"."""
    places = np.argwhere(where)
    if where.ndim == 2:
        names = [f"row {i}, column {j}" for i, j in places[:_NAMED]]
    else:
        names = [str(i[0]) for i in places[:_NAMED]]
    more = "; ..." if len(places) > _NAMED else ""
    return f"{len(places)} channel(s) ({'; '.join(names)}{more}) are"
