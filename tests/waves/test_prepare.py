import numpy as np
import pytest
import scipy.ndimage

from nwm_jax.errors import UserError
from nwm_jax.waves import channels, prepare
from tests.helpers import wave_fields

X = wave_fields.plane_wave((0.3, 0.2), (400, 6, 8)) + 0.1 * wave_fields.noise(
    (400, 6, 8)
)


def steps(x, fs=100.0, positions=None, **options):
    plan = prepare.plan(x, prepare.Steps(**options), positions=positions)
    return prepare.apply(plan, x, fs=fs), plan.notes


@pytest.fixture
def spoilt():
    x = X.copy()
    x[:, 0, 0] = np.nan
    x[5:9, 1, 2] = np.nan
    x[:, 2, 3] = 7
    x[:, 3, 4] = np.clip(x[:, 3, 4], -0.5, 0.5)
    return x


def test_bad_channels_are_found(spoilt):
    result = channels.find_bad(spoilt)
    places = {name: np.argwhere(result[name]).tolist() for name in result}
    assert {name: place for name, place in places.items() if place} == {
        "missing": [[0, 0]],
        "partly NaN": [[1, 2]],
        "flat": [[2, 3]],
        "clipped": [[3, 4]],
    }
    counts = np.round(100 * np.clip(X + 0.5, 0, 1.2)).astype(np.uint8)
    assert channels.find_bad(counts)["clipped"].any()
    dark = np.round(100 * np.clip(X, 0, None)).astype(np.uint8)  # 0 is no limit
    assert channels.find_bad(dark)["clipped"].mean() < 0.1


def test_clipping_hard_and_soft():
    rng = np.random.default_rng(0)
    white = rng.normal(size=(2000, 8))
    smooth = scipy.ndimage.gaussian_filter1d(white, 3, axis=0)
    smooth /= smooth.std(axis=0)
    sine = np.sin(2 * np.pi * (np.arange(2000)[:, None] / np.arange(20, 36, 2) + 0.3))
    noise = 0.002 * white

    def share(x):
        return channels.find_bad(x)["clipped"].mean()

    for x in (white, smooth, sine, sine + noise, sine + 0.3 * white):
        assert share(x) == 0
        assert share((3000 * x).astype(np.int16)) == 0
    for x in (white, smooth, sine):
        assert share(np.clip(x, -5, 0.8)) == 1  # hard, at one side
        assert share(np.clip(x, -0.8, 5) + noise) == 1  # noise behind the limit
    for x in (smooth, sine):
        assert share(np.tanh(4 * x)) == 1  # saturation
    # Rare transients far above the baseline say nothing about its lower edge.
    burst = np.maximum(0, smooth - 2)
    assert share(0.01 * white + 20 * burst) == 0
    # Few levels: the peak of a slow wave has equal samples.
    slow = np.sin(2 * np.pi * np.arange(2000) / 200)[:, None]
    assert share(np.round(100 + 20 * slow).astype(np.uint8)) == 0


def test_a_movie_at_rest_is_not_clipped():
    t = np.arange(100)[:, None]
    bump = np.maximum(0, 1 - np.abs(t - np.arange(20, 80, 10)) / 8)
    result = channels.find_bad(bump)
    assert not result["clipped"].any() and result["at rest"].all()
    counts = np.tile(np.arange(50, dtype=np.int16)[:, None] % 7, 3)
    counts[10] = [32760, 100, -32767]
    assert channels.find_bad(counts)["near a limit"].tolist() == [True, False, True]


def test_what_becomes_of_bad_channels(spoilt):
    with pytest.raises(UserError, match=r"row 1, column 2.*--bad=drop"):
        steps(spoilt)
    with pytest.raises(UserError, match=r"row 3, column 4.*clipped"):
        steps(np.where(np.isnan(spoilt) | (spoilt == 7), X, spoilt), bad="refuse")
    dropped, notes = steps(spoilt, bad="drop")
    gone = np.isnan(dropped)
    assert gone.all(axis=0).sum() == gone.any(axis=0).sum() == 4
    assert any("row 2, column 3" in note and "left out" in note for note in notes)
    filled, notes = steps(spoilt, bad="interpolate")
    assert np.isfinite(filled).all()
    for place in [(1, 2), (2, 3), (3, 4)]:
        true = X[:, *place]
        assert np.corrcoef(filled[:, *place], true)[0, 1] > 0.95
    assert np.isnan(spoilt).any() and (spoilt[:, 2, 3] == 7).all()


def test_clipped_channels_are_named_and_kept_without_a_policy():
    x = X.copy()
    x[:, 3, 4] = np.clip(x[:, 3, 4], -0.5, 0.5)
    same, notes = steps(x)
    np.testing.assert_array_equal(same, x)
    assert any("warning" in note and "row 3, column 4" in note for note in notes)


def test_masks():
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    bright = X + 50 * mask
    automatic, notes = steps(bright, mask="auto")
    given, _ = steps(bright, mask=mask)
    np.testing.assert_array_equal(np.isfinite(automatic[0]), mask)
    np.testing.assert_array_equal(automatic, given)
    assert "15 of 48" in notes[0]
    for wrong, words in [(mask[1:], "sheet is"), (0 * mask, "leaves no channel")]:
        with pytest.raises(UserError, match=words):
            steps(X, mask=wrong)


def test_dff_is_relative_to_the_baseline():
    base = 100 + np.arange(48.0).reshape(6, 8)
    result, _ = steps(base * (1 + 0.01 * X), dff=50.0)
    np.testing.assert_allclose(result, 0.01 * (X - np.median(X, axis=0)), atol=1e-3)
    with pytest.raises(UserError, match="raw fluorescence"):
        steps(X, dff=20.0)


def test_bins_and_smoothing_leave_holes_out():
    x = X.copy()
    x[:, 0, 0] = np.nan
    result, _ = steps(x, bin=2)
    assert result.shape == (400, 3, 4)
    np.testing.assert_allclose(result[:, 1, 1], x[:, 2:4, 2:4].mean((1, 2)), atol=1e-5)
    expected = np.nanmean(x[:, :2, :2], axis=(1, 2))
    np.testing.assert_allclose(result[:, 0, 0], expected, atol=1e-5)
    course = np.arange(400.0)[:, None, None]
    result, _ = steps(np.where(np.isnan(x), x, course), smooth=1.5)
    np.testing.assert_allclose(result[:, 1:], course + np.zeros((5, 8)), rtol=1e-5)
    assert np.isnan(result[:, 0, 0]).all()


def test_detrend_and_notch():
    t = np.arange(400)[:, None, None] / 100
    hum = 3 * np.sin(2 * np.pi * 20 * t) + np.sin(2 * np.pi * 40 * t)
    result, _ = steps(X + 5 * t + hum, detrend=True, notch=20.0)
    middle = slice(100, 300)
    assert np.abs(result - X + X.mean(axis=0))[middle].max() < 0.5
    with pytest.raises(UserError, match="Nyquist frequency 50"):
        steps(X, notch=60.0)


def test_pieces_are_prepared_like_the_whole(spoilt):
    bright = spoilt + 20
    plan = prepare.plan(bright, prepare.Steps(bad="interpolate", dff=20.0, bin=2))
    whole = prepare.apply(plan, bright, fs=1.0)
    part = prepare.apply(plan, bright[50:90], fs=1.0)
    np.testing.assert_allclose(part, whole[50:90], atol=1e-6)


def test_scattered_channels():
    place = np.random.default_rng(0).uniform(size=(48, 2))
    x = X.reshape(400, 48).copy()
    x[3, np.hypot(*(place - 0.5).T).argmin()] = np.nan  # it has neighbours all round
    result, _ = steps(x, bad="interpolate", positions=place)
    assert np.isfinite(result).all()
    with pytest.raises(UserError, match="need a sheet"):
        steps(x, bin=2, positions=place)
