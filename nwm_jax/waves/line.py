"""Power of rings over frequency and wave number, and how much of it travels at a speed.

A state that moves along its ring by s places a step has all its power on the line
f = s q, with f in cycles per step and q in cycles per place.
"""

import numpy as np

from nwm_jax.errors import UserError

SHUFFLES = ("both", "time")
WIDTH = 1  # frequencies off a line that still count as on it
_SMALLEST = 1e-24


def power(states: np.ndarray) -> np.ndarray:
    """Returns the power of a state by frequency and wave number.

    P = |sum_t sum_p h[t, p] exp(-2 pi i (f t + q p))|^2, without a window.

    Args:
      states: h, real ``[..., T, n]``, over time and place.

    Returns:
      P, float64 ``[..., T, n]``, at f = k / T and q = k / n as of `numpy.fft.fftfreq`.
      With these signs a state that moves from place p to p - 1 has f = +q.
    """
    transform = np.fft.fft2(np.asarray(states, np.float64))
    return transform.real**2 + transform.imag**2


def over_shuffled(
    states: np.ndarray, shuffle: str = "both", num_shuffles: int = 20, seed: int = 0
) -> np.ndarray:
    """Returns the power over that of the same numbers in another order.

    Args:
      states: real ``[T, n]``.
      shuffle: "both": times and places, each in an order of its own; "time": times
        only, as the program of arXiv:2309.08045 in fact does, which leaves 1 at
        frequency 0.
      num_shuffles: over how many shuffles the power is averaged.
      seed: of the shuffles.

    Returns:
      The ratio ``[T, n]``, 1 where order does not matter.

    Raises:
      UserError: an unknown shuffle.
    """
    if shuffle not in SHUFFLES:
        raise UserError(f"unknown shuffle {shuffle!r}; one of {', '.join(SHUFFLES)}")
    length, places = states.shape
    generator = np.random.default_rng(seed)
    control = np.zeros(states.shape)
    for _ in range(num_shuffles):
        other = states[generator.permutation(length)]
        if shuffle == "both":
            other = other[:, generator.permutation(places)]
        control += power(other) / num_shuffles
    spectrum = power(states)
    # What is zero up to rounding in both is not a hundred times anything.
    floor = _SMALLEST * max(spectrum.max(), _SMALLEST)
    return (spectrum + floor) / (control + floor)


def on_line(
    length: int, places: int, speed: float, width: int = WIDTH
) -> tuple[np.ndarray, np.ndarray]:
    """Returns which frequencies and wave numbers lie on the line of a speed.

    Args:
      length: T.
      places: n.
      speed: places a step, positive towards place 0.
      width: how many frequencies off the line still count.

    Returns:
      bool ``[T, n]``; and bool ``[n]``, at which wave numbers the lines of both
      directions are apart: not where both are near frequency 0 or 1/2.
    """
    frequency = np.arange(length)[:, None]
    line = np.round(speed * np.fft.fftfreq(places) * length)
    there = np.abs(_around(frequency - line, length)) <= width
    return there, np.abs(_around(2 * line, length)) > 2 * width


def fraction(states: np.ndarray, speed: float = 1.0) -> float:
    """Returns the part of the power that lies on the line of a speed.

    Args:
      states: real ``[..., T, n]``; the powers of all leading axes are added.
      speed: places a step, positive towards place 0.

    Returns:
      0 to 1, of the power at wave numbers at which the directions are apart (see
      `on_line`); NaN where there is none.
    """
    spectrum = power(states).reshape(-1, *states.shape[-2:]).sum(axis=0)
    length, places = states.shape[-2:]
    there, apart = on_line(length, places, speed)
    total = spectrum[:, apart].sum()
    return float(spectrum[there & apart].sum() / total) if total > 0 else float("nan")


def _around(difference: np.ndarray, length: int) -> np.ndarray:
    """Differences of frequencies, which come again after `length`."""
    return (difference + length / 2) % length - length / 2
