import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError
from nwm_jax.waves import analysis, pieces, pipeline, prepare, surrogates


@pytest.fixture(scope="module")
def record():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20000, 3, 4))
    t, i, j = np.indices(x.shape)
    x += 2 * np.cos(2 * np.pi * (0.05 * t - 0.06 * i - 0.03 * j))
    return (x + 0.05 * np.cumsum(x, axis=0)).astype(np.float32)


@pytest.mark.parametrize("setting", ["generalized", "original"])
def test_pieces_have_the_signal_of_the_whole(record, tmp_path, setting):
    band, options = (0.02, 0.1), {"fs": 1.0, "setting": setting}
    # Where an epoch begins may hang on the last digit: the rest is compared.
    whole = pipeline.plain_signal(record, band=band, **options).reshape(20000, -1)
    plan = prepare.plan(record, prepare.Steps())
    options |= {"piece": 12 * 4000, "interpolated": False}
    outcome = pieces.piecewise_signal(
        record, plan, band=band, folder=tmp_path, **options
    )
    assert isinstance(outcome, np.memmap) and not list(tmp_path.iterdir())
    ends = int(4 / band[0])
    # A causal filter rings longer than one that looks ahead as well.
    most = 1e-4 if setting == "generalized" else 5e-4
    assert np.abs(outcome - whole)[ends:-ends].max() < most


def test_an_analysis_in_pieces_has_the_numbers_of_the_whole(record, monkeypatch):
    options = {"band": (0.02, 0.1), "fs": 1.0}
    one = analysis.analyse(record, **options).result
    monkeypatch.setattr(pieces, "WHOLE", 1000)
    monkeypatch.setattr(pieces, "_PIECE", 12 * 4000)
    lines = []
    many = analysis.analyse(
        record, progress=lambda *line: lines.append(line), **options
    ).result
    assert lines[-1] == ("signal", 20000, 20000)
    assert many["fronts"]["by_class"] == one["fronts"]["by_class"]
    assert many["fronts"]["count"] == one["fronts"]["count"] > 900
    for name, value in one["statistics"].items():
        if value is not None:
            np.testing.assert_allclose(
                many["statistics"][name], value, rtol=1e-3, atol=1e-3, err_msg=name
            )


def test_surrogates_of_pieces_are_those_of_the_whole(record, tmp_path, monkeypatch):
    options = {"band": (0.02, 0.1), "fs": 1.0, "num_surrogates": 3}
    one = analysis.analyse(record, **options)
    monkeypatch.setattr(pieces, "WHOLE", 1000)
    monkeypatch.setattr(pieces, "_PIECE", 12 * 4000)
    monkeypatch.setattr(surrogates, "_COURSES", 5 * 20000)
    many = analysis.analyse(record, folder=tmp_path, **options)
    assert many.result["significance"] == one.result["significance"]
    assert many.result["significance"]["travelling_index"]["surrogates"] == 3
    assert np.mean(many.p_value != one.p_value) < 0.02  # ties hang on the last digit
    assert not list(tmp_path.iterdir())
    plain = pieces.piecewise_signal(
        record, prepare.plan(record, prepare.Steps()), fs=1.0, band=(0.02, 0.1)
    )
    for a, b in zip(
        surrogates.surrogates(plain, 2),
        surrogates.surrogates(np.array(plain), 2),
        strict=True,
    ):
        assert isinstance(a, np.memmap) and not isinstance(b, np.memmap)
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("dtype, offset", [(np.int16, 9000), (np.float32, 1e5)])
@pytest.mark.parametrize("band", [(0.05, 0.06), (0.02, 0.1)])
def test_narrow_bands_and_records_far_from_zero(record, dtype, offset, band):
    """A narrow filter rings for long, and a drift is far larger than what is in it."""
    x = (100 * record[:, :2, :2] + offset).astype(dtype)
    whole = pipeline.plain_signal(x, band=band).reshape(20000, -1)
    plan = prepare.plan(x, prepare.Steps())
    outcome = pieces.piecewise_signal(
        x, plan, fs=1.0, band=band, piece=4 * 3000, interpolated=False
    )
    ends = int(4 / band[0])
    assert np.abs(outcome - whole)[ends:-ends].max() < 1e-4


def test_a_record_as_long_as_the_filter_rings(record):
    x = record[:900]
    plan = prepare.plan(x, prepare.Steps())
    outcome = pieces.piecewise_signal(x, plan, fs=1.0, band=(0.05, 0.06))
    whole = waves.wave_signal(x, band=(0.05, 0.06)).reshape(900, -1)
    np.testing.assert_allclose(outcome, whole, atol=1e-5)


def test_without_a_band_a_long_record_is_refused(record, monkeypatch):
    monkeypatch.setattr(pieces, "WHOLE", 1000)
    with pytest.raises(UserError, match="needs a --band"):
        analysis.analyse(record)


def test_missing_channels(record):
    x = record.copy()
    x[:, 1, 2] = np.nan
    plan = prepare.plan(x, prepare.Steps())
    outcome = pieces.piecewise_signal(x, plan, fs=1.0, band=(0.02, 0.1))
    assert outcome.shape == (20000, 11) and np.isfinite(outcome[:100]).all()
    whole = waves.wave_signal(x, band=(0.02, 0.1)).reshape(20000, -1)
    np.testing.assert_allclose(np.std(outcome[:, 5]), np.std(whole[:, 5]), rtol=1e-2)
