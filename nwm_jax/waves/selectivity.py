"""What each cell prefers, and how smoothly the preferences lie on the sheet."""

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_real, boundary_pair


def cohens_d(
    responses: np.ndarray, labels: np.ndarray, *, variance: str = "average"
) -> np.ndarray:
    """Returns by how much each cell prefers each class of stimuli to all others.

        d_c = (mean_c - mean_rest) / s,
        average:  s^2 = (var_c + var_rest) / 2
        pooled:   s^2 = ((n_c - 1) var_c + (n_rest - 1) var_rest) / (n - 2)

    with unbiased variances; rest is every stimulus of another class.

    Args:
      responses: real [n, ...], one response of each cell ([H, W]) per stimulus, such as
        its mean over time; any unit.
      labels: [n], the class of each stimulus.
      variance: "average" or "pooled".

    Returns:
      float64 [classes, ...], in the order of the sorted labels, no unit. NaN where a
      cell never varies.

    Raises:
      UserError: shapes that do not fit, an unknown `variance`, or a class (or the rest
        of one) of fewer than 2 stimuli.

    Source: Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988; in
    Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), Figure 3.
    """
    responses = as_real(responses, "cohens_d").astype(np.float64)
    labels = np.asarray(labels)
    if labels.ndim != 1 or responses.shape[:1] != labels.shape:
        raise UserError(
            f"one label per response is needed: responses {responses.shape}, labels "
            f"{labels.shape}"
        )
    if variance not in ("average", "pooled"):
        raise UserError(
            f"variance {variance!r} is not known: use 'average' or 'pooled'"
        )
    out = []
    for name in np.unique(labels):
        one, rest = responses[labels == name], responses[labels != name]
        if min(len(one), len(rest)) < 2:
            raise UserError(
                f"class {name} and the rest need 2 stimuli each for a variance: "
                f"{len(one)} and {len(rest)}"
            )
        a, b = one.var(axis=0, ddof=1), rest.var(axis=0, ddof=1)
        if variance == "average":
            square = (a + b) / 2
        else:
            square = ((len(one) - 1) * a + (len(rest) - 1) * b) / (len(labels) - 2)
        spread = np.sqrt(np.where(square > 0, square, np.nan))
        out.append((one.mean(axis=0) - rest.mean(axis=0)) / spread)
    return np.stack(out)


def selectivity_map(
    d: np.ndarray, threshold: float = 0.65
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the class that each cell prefers, and whether it does so clearly.

        label = argmax_c d_c,    selective = max_c d_c >= threshold

    Args:
      d: [classes, ...], from `cohens_d`.
      threshold: no unit.

    Returns:
      (label, selective): int and bool [...]. A cell whose d is all NaN has label 0 and
      is not selective.

    Raises:
      UserError: `d` has no classes.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), Figure 3:
    cells below 0.65 are crossed out.
    """
    d = np.asarray(d, float)
    if d.ndim < 1 or not len(d):
        raise UserError(f"d must be [classes, ...] and has shape {d.shape}")
    known = np.where(np.isnan(d), -np.inf, d)
    return known.argmax(axis=0), known.max(axis=0) >= threshold


def same_label_fraction(
    labels: np.ndarray,
    *,
    boundary: str | tuple[str, str] = "periodic",
    where: np.ndarray | None = None,
) -> float:
    """Returns the part of neighbouring pairs that have the same label.

    Neighbours are the next cell in the row and in the column; every pair counts once.

    Args:
      labels: [H, W], integers.
      boundary: "periodic", "open" or a pair, as in `waves.phase_gradient`.
      where: bool [H, W]; pairs of two such cells count. None: all.

    Returns:
      In [0, 1]: 1 for one label everywhere; `chance_same_label` is what scattered
      labels would give. NaN without a pair.

    Raises:
      UserError: `labels` or `where` is not [H, W], or a mistake in the boundary.

    Source: a measure of smooth topography; Keller & Welling, "Neural Wave Machines",
    ICML 2023 (PMLR 202), show the maps.
    """
    labels, where = _map(labels, where)
    same = pairs = 0
    for axis, kind in enumerate(boundary_pair(boundary, labels.shape)):
        a, b = _neighbours(labels, axis, kind)
        both = np.logical_and(*_neighbours(where, axis, kind))
        same += int(np.sum((a == b) & both))
        pairs += int(both.sum())
    return same / pairs if pairs else float("nan")


def chance_same_label(labels: np.ndarray, where: np.ndarray | None = None) -> float:
    """Returns what `same_label_fraction` is on average when the cells are shuffled.

        sum_c n_c (n_c - 1) / (n (n - 1)),

    with n_c of the n cells having label c: exact, no shuffling needed.

    Args:
      labels: [H, W], integers.
      where: bool [H, W]; which cells count. None: all.

    Returns:
      In [0, 1]; NaN for fewer than 2 cells.

    Raises:
      UserError: `labels` or `where` is not [H, W].

    Source: the expectation over all permutations.
    """
    labels, where = _map(labels, where)
    count = np.unique(labels[where], return_counts=True)[1]
    total = count.sum()
    if total < 2:
        return float("nan")
    return float(np.sum(count * (count - 1)) / (total * (total - 1)))


def orientation_step(
    orientation: np.ndarray, *, boundary: str | tuple[str, str] = "periodic"
) -> float:
    """Returns the mean difference of the preferred orientations of neighbours.

        < | arg exp(2 i (theta - theta')) | / 2 >

    Args:
      orientation: theta [H, W], radians, the same modulo pi; NaN where there is none.
      boundary: as in `same_label_fraction`.

    Returns:
      Radians, in [0, pi/2]: 0 for one orientation everywhere, pi/4 for scattered ones.
      NaN without a pair.

    Raises:
      UserError: not [H, W], or a mistake in the boundary.

    Source: as `same_label_fraction`.
    """
    orientation = as_real(orientation, "orientation_step")
    _map(orientation, None)
    steps = []
    for axis, kind in enumerate(boundary_pair(boundary, orientation.shape)):
        a, b = _neighbours(orientation, axis, kind)
        steps.append(np.abs(np.angle(np.exp(2j * (a - b)))).ravel() / 2)
    every = np.concatenate(steps)
    every = every[np.isfinite(every)]
    return float(every.mean()) if len(every) else float("nan")


def _map(labels: np.ndarray, where: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    labels = np.asarray(labels)
    where = np.ones(labels.shape, bool) if where is None else np.asarray(where, bool)
    if labels.ndim != 2 or where.shape != labels.shape:
        raise UserError(
            "a map [height, width] is needed: labels "
            f"{labels.shape}, where {where.shape}"
        )
    return labels, where


def _neighbours(
    values: np.ndarray, axis: int, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Every cell that has a next one along the axis, and that next one."""
    following = np.roll(values, -1, axis)
    if kind == "periodic" and values.shape[axis] > 1:
        return values, following
    inside = [slice(None)] * values.ndim
    inside[axis] = slice(0, -1)
    return values[tuple(inside)], following[tuple(inside)]
