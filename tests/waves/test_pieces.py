import numpy as np
import pytest

from nwm_jax import waves
from nwm_jax.errors import UserError
from nwm_jax.waves import analysis, pieces, pipeline, prepare


@pytest.fixture(scope="module")
def record():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20000, 3, 4))
    t, i, j = np.indices(x.shape)
    x += 2 * np.cos(2 * np.pi * (0.05 * t - 0.06 * i - 0.03 * j))
    return (x + 0.05 * np.cumsum(x, axis=0)).astype(np.float32)


@pytest.mark.parametrize("setting", ["generalized", "original"])
def test_pieces_have_the_signal_of_the_whole(record, tmp_path, setting, monkeypatch):
    band, options = (0.02, 0.1), {"fs": 1.0, "setting": setting}
    # Where an epoch begins may hang on the last digit: the rest is compared.
    whole = pipeline.plain_signal(record, band=band, **options).reshape(20000, -1)
    monkeypatch.setattr(pieces, "generalized_signal", lambda signal: signal)
    plan = prepare.plan(record, prepare.Steps())
    found = pieces.piecewise_signal(
        record, plan, band=band, piece=12 * 4000, folder=tmp_path, **options
    )
    assert isinstance(found, np.memmap) and not list(tmp_path.iterdir())
    ends = int(4 / band[0])
    # A causal filter rings longer than one that looks ahead as well.
    most = 1e-4 if setting == "generalized" else 5e-4
    assert np.abs(found - whole)[ends:-ends].max() < most


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


def test_without_a_band_a_long_record_is_refused(record, monkeypatch):
    monkeypatch.setattr(pieces, "WHOLE", 1000)
    with pytest.raises(UserError, match="needs a --band"):
        analysis.analyse(record)


def test_missing_channels(record):
    x = record.copy()
    x[:, 1, 2] = np.nan
    plan = prepare.plan(x, prepare.Steps())
    found = pieces.piecewise_signal(x, plan, fs=1.0, band=(0.02, 0.1))
    assert found.shape == (20000, 11) and np.isfinite(found[:100]).all()
    whole = waves.wave_signal(x, band=(0.02, 0.1)).reshape(20000, -1)
    np.testing.assert_allclose(np.std(found[:, 5]), np.std(whole[:, 5]), rtol=1e-2)
