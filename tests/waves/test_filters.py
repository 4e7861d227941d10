import numpy as np
import pytest
import scipy.signal

from nwm_jax import waves
from nwm_jax.errors import UserError


@pytest.mark.parametrize(
    "order, gains, impulse",
    [
        (
            4,
            [0, 0.014246, 0.969632, 1, 0.999521, 0.707107, 0.259608],
            [0.004824, 0.018991, 0.015613, -0.041299, -0.101587, -0.052763],
        ),
        (
            5,
            [0, 0.004922, 0.984397, 1, 0.999916, 0.707107, 0.190042],
            [0.001283, 0.006322, 0.008338, -0.011661, -0.047659, -0.042607],
        ),
    ],
)
def test_filter_of_the_original_program(order, gains, impulse):
    x = np.zeros(4000)
    x[0] = 1
    response = waves.band_pass(x, waves.ORIGINAL_BAND, order=order)
    np.testing.assert_allclose(response[:6], impulse, atol=1e-6)
    at = np.array([0, 1 / 9, 2 / 9, 0.3, 3 / 9, 0.4, 4 / 9]) / 2  # of Nyquist
    result = np.abs(np.exp(-2j * np.pi * at[:, None] * np.arange(4000)) @ response)
    np.testing.assert_allclose(result, gains, atol=1e-6)


def test_the_equation_of_the_docstring():
    x = np.zeros(20_000)
    x[0] = 1
    result = np.abs(np.fft.rfft(waves.band_pass(x, (5, 40), fs=200, order=3)))
    f = np.fft.rfftfreq(20_000, 1 / 200)[1:-1]
    turned, low, high = (np.tan(np.pi * g / 200) for g in (f, 5, 40))
    q = (turned**2 - low * high) / (turned * (high - low))
    np.testing.assert_allclose(result[1:-1] ** 2, 1 / (1 + q**6), atol=1e-6)


def test_zero_phase_is_the_filter_there_and_back():
    x = np.random.default_rng(0).normal(size=(200, 3))
    b, a = scipy.signal.butter(4, (0.2, 0.4), "bandpass")
    expected = scipy.signal.filtfilt(b, a, x, axis=0, padlen=24)
    result = waves.band_pass(x, (0.1, 0.2), zero_phase=True)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    # Nothing lags: the crest of a burst stays where it is.
    t = np.arange(401) - 200
    burst = np.exp(-((t / 30) ** 2)) * np.cos(2 * np.pi * 0.15 * t)
    assert np.argmax(waves.band_pass(burst, (0.1, 0.2), zero_phase=True)) == 200
    assert np.argmax(waves.band_pass(burst, (0.1, 0.2))) > 200


def test_axis_precision_and_missing_channels():
    x = np.random.default_rng(1).normal(size=(2, 3, 80)).astype(np.float32)
    x[1, 2, 7] = np.nan
    result = waves.band_pass(x, (0.1, 0.2), axis=-1)
    assert result.dtype == np.float32 and result.shape == x.shape
    np.testing.assert_array_equal(
        np.isnan(result).all(axis=-1), [[False] * 3, [False, False, True]]
    )
    b, a = scipy.signal.butter(4, (0.2, 0.4), "bandpass")
    np.testing.assert_allclose(
        result[0], scipy.signal.lfilter(b, a, x[0].astype(float)), atol=1e-5
    )


def test_z_score():
    x = np.random.default_rng(2).normal(3, 5, size=(50, 4))
    x[:, 1], x[3, 2] = 0.1, np.inf
    z = waves.z_score(x)
    np.testing.assert_array_equal(np.isnan(z).all(axis=0), [False, True, True, False])
    np.testing.assert_allclose(
        z[:, 0], (x[:, 0] - x[:, 0].mean()) / x[:, 0].std(ddof=1)
    )
    np.testing.assert_allclose(waves.z_score(x.T, axis=1).T, z)


def test_blocks_do_not_show(monkeypatch):
    x = np.random.default_rng(3).normal(size=(60, 7, 1))

    def results():
        signal = waves.wave_signal(x)
        return waves.band_pass(x, (0.1, 0.2)), waves.z_score(x), signal

    whole = results()
    monkeypatch.setattr("nwm_jax.waves.arrays._BLOCK", 120)  # two channels
    for one, other in zip(whole, results(), strict=False):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"band": (0, 0.2)}, "Nyquist frequency 0.5"),
        ({"band": (0.1, 0.5)}, "Nyquist"),
        ({"band": (0.2, 0.1)}, "must rise"),
        ({"band": (0.1,)}, "two frequencies"),
        ({"band": ("a", "b")}, "two frequencies"),
        ({"band": (0.1, np.nan)}, "Nyquist"),
        ({"fs": 0}, "must be positive"),
        ({"order": 0}, "1 to 12"),
        ({"axis": 2}, "no axis 2"),
        ({"band": (0.01, 0.2)}, "60 samples are too few .* at least 100"),
        ({"order": 10, "zero_phase": True}, "at least 61"),
        ({"x": np.ones(60, complex)}, "complex"),
    ],
)
def test_mistakes_are_named(change, words):
    arguments = {"x": np.ones((60, 2)), "band": (0.1, 0.2)} | change
    with pytest.raises(UserError, match=words) as error:
        waves.band_pass(**arguments)
    assert "\n" not in str(error.value)
