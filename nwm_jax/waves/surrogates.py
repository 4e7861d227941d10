"""Does it travel more than chance would have it? Tests against reversible surrogates."""

import os
from collections.abc import Callable, Iterator

import numpy as np
import scipy.fft

from nwm_jax.waves.arrays import in_threads, slices, spread, temporary_array
from nwm_jax.waves.coherence import direction_coherence
from nwm_jax.waves.fronts import Fronts, fronts_of
from nwm_jax.waves.generalized import generalized_signal, interpolate_epochs
from nwm_jax.waves.sites import Sites, site_velocity
from nwm_jax.waves.travelling import travelling_index

#: What a surrogate is, and what a small p-value speaks against.
NULL = "time-reversible Gaussian field with the same co-spectra"

_FRAMES = 256  # of the momentary coherence
_COURSES = 1 << 23  # numbers of the sites whose transforms are made at once
_ALIKE = 1.5  # durations of waves that are compared differ by this factor at most


def surrogates(
    signal: np.ndarray,
    num: int,
    *,
    seed: int = 0,
    generalized: bool = False,
    folder: str | os.PathLike | None = None,
) -> Iterator[np.ndarray]:
    """Yields records with the spectra of a signal and no preferred direction of time.

    With X(f) the transform of the whole record, a vector over all sites,

        Y(f) = exp(i theta_f) X(f)   or, with probability 1/2,   exp(i theta_f) conj X(f),

    theta_f one random phase for all sites. Every site keeps its spectrum, and all pairs
    their co-spectra (the real part of the cross spectrum), hence the covariance at lag
    0. The quadrature spectrum, of which waves that travel are made, gets a random sign
    at every frequency. A surrogate costs one transform. Of a memory map the transforms
    are made a few sites at a time and lie on disk, as the surrogates do: in memory are
    the whole courses of these sites.

    Args:
      signal: plain analytic signal [T, N] (no interpolated epochs), no NaN.
      num: how many.
      seed: of the random signs and phases.
      generalized: whether epochs are interpolated, as in `generalized_signal`.
      folder: of the temporary files of a memory map; None: that of the system.

    Yields:
      Analytic signals [T, N]; of a memory map one array, filled again each time.
    """
    length, count = signal.shape
    half, dtype = (length + 1) // 2, signal.dtype
    on_disk = isinstance(signal, np.memmap)
    sites = list(slices(count, length, _COURSES))

    def array(shape: tuple[int, int]) -> np.ndarray:
        return temporary_array(shape, folder) if on_disk else np.empty(shape, dtype)

    spectrum = array((half, count))

    def transform(part: slice) -> None:
        spectrum[:, part] = scipy.fft.fft(signal[:, part], axis=0)[:half]

    list(in_threads(transform, sites))
    generator = np.random.default_rng(seed)
    out = array(signal.shape)
    for _ in range(num):
        phase = np.exp(2j * np.pi * generator.random(half)).astype(signal.dtype)
        flip = generator.random(half)[:, None] >= 0.5
        other = out if on_disk else np.empty_like(out)

        def turn_back(part: slice, phase=phase, flip=flip, other=other) -> None:
            block = np.zeros((length, part.stop - part.start), signal.dtype)
            block[:half] = spectrum[:, part]
            np.conjugate(block[:half], out=block[:half], where=flip)
            block[:half] *= phase[:, None]
            block = scipy.fft.ifft(block, axis=0, overwrite_x=True)
            if generalized:
                interpolate_epochs(block)
            other[:, part] = block

        list(in_threads(turn_back, sites))
        yield other


def momentary_coherence(signal: np.ndarray, sites: Sites) -> float:
    """Returns the mean over 256 frames of the coherence of directions over sites."""
    velocity = site_velocity(signal[spread(len(signal), _FRAMES)], sites)
    return float(np.nanmean(direction_coherence(velocity, 1)))


def significance(
    signal: np.ndarray,
    sites: Sites,
    num: int,
    *,
    seed: int = 0,
    generalized: bool = True,
    own: np.ndarray | None = None,
    fronts: Fronts | None = None,
    fs: float = 1.0,
    scale: float = 0.0,
    folder: str | os.PathLike | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, dict], np.ndarray | None]:
    """Tests a record and its waves against surrogates.

    The p-value of a number is (1 + n) / (1 + num), n of the surrogates having at least
    its value. A recording whose waves run equally often both ways is reversible, and
    need not be significant. A single wave is compared with the best wave of about its
    duration (a factor of 1.5 either way) of each surrogate, so its p-value holds for
    the choice of the best place and time of a record too.

    Args:
      signal: plain analytic signal [T, N], no NaN; a memory map stays on disk.
      sites: the N places.
      num: how many surrogates, at least 1.
      seed: of these.
      generalized: whether the epochs of both are interpolated first.
      own: the signal with its epochs interpolated; None: it is made here.
      fronts: the waves of the record; None: these are not tested.
      fs, scale: as the fronts were made with (`fronts.fronts_of`).
      folder: of temporary files, as in `surrogates`.
      progress: called with (done, num).

    Returns:
      {"travelling_index": {...}, "momentary_coherence": {...}}, each with "p_value",
      "null" and "surrogates"; and the p-values [n] of the fronts, or None.

    Source: phase-randomised surrogates, Theiler et al. 1992,
    doi:10.1016/0167-2789(92)90102-S; with one phase for all sites Prichard & Theiler
    1994, doi:10.1103/PhysRevLett.73.951. The conjugation is our own.
    """
    measures = {
        "travelling_index": travelling_index,
        "momentary_coherence": lambda x: momentary_coherence(x, sites),
    }
    if own is None:
        own = generalized_signal(signal) if generalized else signal
    value = {name: measure(own) for name, measure in measures.items()}
    at_least = dict.fromkeys(measures, 1)
    as_good = np.ones(0 if fronts is None else len(fronts.time))
    for k, other in enumerate(
        surrogates(signal, num, seed=seed, generalized=generalized, folder=folder)
    ):
        for name, measure in measures.items():
            at_least[name] += measure(other) >= value[name]
        if fronts is not None:
            result = fronts_of(other, sites, fs=fs, scale=scale)
            as_good += _best_alike(fronts.duration, result) >= fronts.fit
        if progress is not None:
            progress(k + 1, num)
    tests = {
        name: {"p_value": float(n / (1 + num)), "null": NULL, "surrogates": num}
        for name, n in at_least.items()
    }
    return tests, None if fronts is None else as_good / (1 + num)


def false_discoveries(p_value: np.ndarray) -> np.ndarray:
    """Returns q-values: the share of false discoveries if all of p or less are kept.

        q_(i) = min over j >= i of  n p_(j) / j

    Args:
      p_value: [n], in [0, 1].

    Returns:
      [n], in [0, 1].

    Source: Benjamini & Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    p_value = np.asarray(p_value, float)
    order = np.argsort(p_value)
    n = len(p_value)
    ranked = p_value[order] * n / np.arange(1, n + 1)
    q = np.empty(n)
    q[order] = np.minimum.accumulate(ranked[::-1])[::-1]
    return np.minimum(q, 1)


def _best_alike(duration: np.ndarray, others: Fronts) -> np.ndarray:
    """For each duration the best fit of the other waves of about this duration."""
    order = np.argsort(others.duration)
    length, fit = others.duration[order], np.nan_to_num(others.fit[order])
    low = np.searchsorted(length, duration / _ALIKE)
    high = np.searchsorted(length, duration * _ALIKE, side="right")
    return np.array(
        [fit[a:b].max(initial=-1.0) for a, b in zip(low, high, strict=False)]
    )
