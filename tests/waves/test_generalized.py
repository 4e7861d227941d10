import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from nwm_jax import waves
from nwm_jax.errors import UserError
from nwm_jax.waves import generalized


@pytest.fixture(scope="module")
def signal():
    x = np.random.default_rng(0).normal(size=(500, 2, 3))
    x[7, 1, 1] = np.nan
    filtered = waves.band_pass(x, (0.02, 0.2), zero_phase=True)
    return waves.analytic_signal(filtered)


def epochs_one_by_one(series, stretch):
    """The definition, sample by sample."""
    slow = np.zeros(len(series), bool)
    slow[1:-1] = np.angle(series[2:] * series[1:-1].conj()) < 0
    marked, start = slow.copy(), None
    for t in range(len(series)):
        if slow[t] and start is None:
            start = t
        if start is not None and not slow[t]:
            marked[start : start + stretch * (t - 1 - start) + 1] = True
            start = None
    return marked


@pytest.mark.parametrize("stretch", [1, 3])
def test_epochs_and_interpolation_follow_the_definition(signal, stretch):
    marked = waves.negative_epochs(signal, stretch=stretch)
    result = waves.generalized_signal(signal, stretch=stretch)
    assert 0.03 < marked[:, 0].mean() < 0.2  # there is something to do
    for cell in [(0, 0), (1, 2)]:
        series = signal[:, *cell]
        expected = epochs_one_by_one(series, stretch)
        np.testing.assert_array_equal(marked[:, *cell], expected)
        valid = np.flatnonzero(~expected)
        phase = np.unwrap(np.angle(series[valid]))
        # Beyond the last valid sample the phase goes on at the mean frequency.
        filled = PchipInterpolator(valid, phase)(np.arange(len(series)))
        beyond = np.arange(valid[-1] + 1, len(series))
        rate = (phase[-1] - phase[0]) / (valid[-1] - valid[0])
        filled[beyond] = phase[-1] + rate * (beyond - valid[-1])
        np.testing.assert_allclose(
            result[:, *cell], np.abs(series) * np.exp(1j * filled), atol=1e-9
        )
    assert np.isnan(result[:, 1, 1]).all() and not marked[:, 1, 1].any()


def test_slow_wave_under_a_fast_one_keeps_its_rhythm():
    # A fast ripple turns the phase of the slow wave back; without it, 4 cycles remain.
    t = np.arange(400)
    x = np.cos(2 * np.pi * t / 100) + 0.3 * np.cos(2 * np.pi * 0.11 * t)
    signal = waves.analytic_signal(x)
    assert (waves.temporal_frequency(signal) < 0).mean() > 0.2
    result = waves.generalized_signal(signal)
    assert (waves.temporal_frequency(result) < 0).mean() < 0.02
    np.testing.assert_allclose(np.abs(result), np.abs(signal))


def test_a_steady_phase_is_left_alone():
    x = np.cos(2 * np.pi * np.arange(60)[:, None] / 10 + np.arange(4))
    signal = waves.analytic_signal(x)
    np.testing.assert_array_equal(waves.generalized_signal(signal), signal)
    assert not waves.negative_epochs(signal).any()
    # 0.1 cycles per sample are too slow if 0.2 are asked for.
    slow = waves.negative_epochs(signal, min_frequency=200.0, fs=1000.0)
    assert slow[1:-1].all() and not slow[0].any()


def test_an_epoch_that_lasts_to_the_end_goes_on_at_the_mean_frequency():
    phase = np.concatenate([0.5 * np.arange(20), 9.5 - 0.4 * np.arange(1, 8)])
    result = waves.generalized_signal(np.exp(1j * phase)[None], axis=1)[0]
    np.testing.assert_allclose(result[:19], np.exp(0.5j * np.arange(19)), atol=1e-12)
    assert (waves.temporal_frequency(result) > 0.3).all()


def test_axis_and_precision(signal):
    moved = np.moveaxis(signal, 0, 2).astype(np.complex64)
    result = waves.generalized_signal(moved, axis=2)
    assert result.dtype == np.complex64
    expected = np.moveaxis(waves.generalized_signal(signal), 0, 2)
    close = np.abs(result - expected) < 1e-3  # an epoch may differ by a rounding
    assert close[np.isfinite(expected)].mean() > 0.98


def test_mistakes_are_named(signal):
    for arguments, words in [
        ((signal.real,), "pass analytic_signal"),
        ((signal[:1],), "at least 2 samples"),
    ]:
        with pytest.raises(UserError, match=words):
            waves.generalized_signal(*arguments)
    with pytest.raises(UserError, match="stretch at least 1"):
        waves.negative_epochs(signal, stretch=0)
    with pytest.raises(UserError, match="fs must be positive"):
        waves.generalized_signal(signal, fs=0)


@pytest.mark.parametrize("length", [3, 4, 6, 30])
def test_epochs_next_to_the_ends_have_the_slope_of_pchip(length):
    """The end condition of the authors' code (MATLAB's and SciPy's pchip)."""
    rng = np.random.default_rng(length)
    for _ in range(20):
        phase = np.cumsum(rng.uniform(0.1, 1.5, length))
        series = np.exp(1j * phase)
        gap = np.zeros(length, bool)
        gap[[1, length - 2]] = True
        valid = np.flatnonzero(~gap)
        if len(valid) < 2:
            continue
        unwrapped = np.unwrap(np.angle(series[valid]))
        expected = PchipInterpolator(valid, unwrapped)(np.arange(length))
        series = np.stack([series, series], axis=1)
        result = series.copy()
        start = np.array([1, length - 2] * 2)
        if length == 4:  # the two are one
            start, stop = np.array([1, 1]), np.array([3, 3])
        else:
            stop = start + 1
        which = np.repeat([0, 1], len(start) // 2)
        generalized._fill(result, which, start, stop)
        np.testing.assert_allclose(
            result, np.exp(1j * expected)[:, None].repeat(2, 1), atol=1e-9
        )


@pytest.mark.parametrize("shape", [(60,), (60, 1), (60, 1, 1), (60, 2, 3)])
@pytest.mark.parametrize("axis", [0, -1])
def test_the_input_stays_as_it_is(shape, axis):
    x = np.random.default_rng(0).normal(size=shape)
    signal = np.moveaxis(waves.analytic_signal(x), 0, axis)
    before = signal.copy()
    signal.flags.writeable = False
    assert waves.negative_epochs(signal, axis=axis).any()
    result = waves.generalized_signal(signal, axis=axis)
    assert np.abs(result - before).max() > 0.1
    np.testing.assert_array_equal(signal, before)
