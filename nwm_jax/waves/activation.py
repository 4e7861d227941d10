"""Which input, and which moment, moves each cell most."""

import numpy as np

from nwm_jax.errors import UserError
from nwm_jax.waves.arrays import as_real


def maximum_activating(
    responses: np.ndarray, *, absolute: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the input that each cell answers most strongly.

        best = argmax_n r_n    (or of |r_n|)

    Args:
      responses: real [n, ...], the response of each cell ([H, W]) to each of n inputs,
        any unit; NaN where there is none.
      absolute: whether strong negative responses count as strong.

    Returns:
      (best, value): int [...], the index of the input, the first of equals; and the
      signed response to it. -1 and NaN for cells without any response.

    Raises:
      UserError: `responses` is not real, or there are no inputs.

    Source: Keller & Welling, "Neural Wave Machines", ICML 2023 (PMLR 202), Figures 3
    and 6: the images that maximally activate each neuron.
    """
    responses = as_real(responses, "maximum_activating")
    if responses.ndim < 1 or not len(responses):
        raise UserError(f"responses must be [n, ...] and has shape {responses.shape}")
    strength = np.abs(responses) if absolute else responses
    missing = np.isnan(strength)
    best = np.where(missing, -np.inf, strength).argmax(axis=0)
    value = np.take_along_axis(responses, best[None], axis=0)[0]
    none = missing.all(axis=0)
    return np.where(none, -1, best), np.where(none, np.nan, value)


def time_of_maximum(field: np.ndarray, period: int) -> np.ndarray:
    """Returns at which step of a period each cell is highest, most often.

    The first period is left out if there are more, and what is left after the last
    whole one; the result is the mode of the argmax over periods and sequences.

    Args:
      field: real [..., T, H, W], the leading axes sequences; any unit (positions,
        velocities or phases).
      period: steps of one period; T holds at least one.

    Returns:
      int [H, W], from 0 to period - 1; of equally frequent steps the first.

    Raises:
      UserError: fewer than three axes, or no whole period.

    Source: the time-of-maximum maps of the program of Keller & Welling, "Neural Wave
    Machines", ICML 2023 (PMLR 202).
    """
    field = as_real(field, "time_of_maximum")
    if field.ndim < 3 or period < 1 or field.shape[-3] < period:
        raise UserError(
            "an array [..., time, height, width] of at least one period is needed: "
            f"shape {field.shape}, period {period}"
        )
    shape = field.shape[-2:]
    count = field.shape[-3] // period
    field = field.reshape((-1, *field.shape[-3:]))[:, : count * period]
    field = field.reshape((len(field), count, period, *shape))
    best = field[:, 1 if count > 1 else 0 :].argmax(axis=2).reshape((-1, *shape))
    votes = np.stack([np.sum(best == step, axis=0) for step in range(period)])
    return votes.argmax(axis=0)
