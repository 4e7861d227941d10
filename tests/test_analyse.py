"""The verb, from files to numbers and pictures."""

import json
import pathlib

import numpy as np
import pytest
import scipy.io
from PIL import Image

from nwm_jax import analyse as verb
from nwm_jax import waves
from nwm_jax.shell import cli
from tests.helpers import wave_fields

VECTOR = (0.4, -0.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    wave = wave_fields.plane_wave(VECTOR, (300, 8, 10), omega=2 * np.pi * 12 / 100)
    x = wave + 0.5 * wave_fields.noise(wave.shape)
    x[:, 2, 3] = np.nan
    np.save(folder / "a.npy", x.astype(np.float32))
    turned = {"lfp": np.moveaxis(x, 0, 2), "other": x[:, :4]}
    scipy.io.savemat(folder / "a.mat", turned)
    return folder


def run(*arguments):
    verb.FLAGS.unparse_flags()
    for name in verb.FLAGS:
        verb.FLAGS[name].unparse()
    with pytest.raises(SystemExit) as end:
        argv = ["waves", *map(str, arguments)]
        cli.run(verb.main, verb.FLAGS, positional=True, argv=argv)
    return end.value.code or 0


@pytest.fixture(scope="module")
def result(folder):
    out = folder / "out"
    assert run(folder / "a.npy", "--fs=100", "--band=5,20", f"--out={out}") == 0
    return out, json.loads((out / "waves.json").read_text())


def test_the_numbers(result):
    _, numbers = result
    assert numbers["recording"]["shape"] == [300, 8, 10]
    assert numbers["settings"]["band"] == [5, 20]
    found = numbers["statistics"]
    assert found["missing"] == 1 and found["coherence"] > 0.95
    np.testing.assert_allclose(found["frequency"], 12, atol=0.3)
    np.testing.assert_allclose(found["velocity"], VECTOR, atol=0.05)
    fronts, spectrum = numbers["fronts"], numbers["spectrum"]
    speed = 2 * np.pi * 12 / np.hypot(*VECTOR)
    np.testing.assert_allclose(fronts["median_speed"], speed, rtol=0.1)
    assert abs(fronts["straight_per_unit_time"] - 12) < 2
    np.testing.assert_allclose(spectrum["peak_frequency"], 12, atol=0.5)
    assert spectrum["p_value"] == 0.05
    # The nearest wave vectors of 8 x 10 cells.
    np.testing.assert_allclose(spectrum["peak_wave_vector"], VECTOR, atol=0.4)


def test_the_pictures(result):
    out, _ = result
    for name in ("snapshots", "space_time", "directions", "spectrum"):
        with Image.open(out / f"{name}.png") as picture:
            assert min(picture.size) > 200
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20
    assert len(list(out.iterdir())) == 5


def test_matlab_order_and_key_give_the_same(folder, result):
    out = folder / "mat"
    common = ("--fs=100", "--band=5,20", f"--out={out}")
    assert run(folder / "a.mat", "--key=lfp", "--time_axis=2", *common) == 0
    numbers = json.loads((out / "waves.json").read_text())
    first = result[1]["statistics"]
    for name in ("frequency", "velocity", "coherence", "travelling_index"):
        np.testing.assert_allclose(numbers["statistics"][name], first[name], rtol=1e-3)


def test_without_a_band_on_a_torus_with_the_original_phase(folder, capsys):
    out = folder / "plain"
    options = ("--boundary=periodic", "--phase=original", f"--out={out}")
    np.save(
        folder / "torus.npy", wave_fields.plane_wave(wave_fields.torus_vector(1, 2))
    )
    assert run(folder / "torus.npy", *options) == 0
    numbers = json.loads((out / "waves.json").read_text())
    assert numbers["settings"]["band"] is None
    np.testing.assert_allclose(numbers["statistics"]["plane_wave"], 1)
    printed = capsys.readouterr().out
    assert "60 frames of 12 x 16 channels, 0 missing" in printed
    assert "travelling_index" in printed and str(out / "waves.json") in printed


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((), "give one recording"),
        (("{f}/none.npy",), "does not exist"),
        (("{f}/a.npy", "--fs=20", "--band=5,40"), "Nyquist frequency 10"),
        (("{f}/a.npy", "--band=5"), "two frequencies"),
        (("{f}/a.npy", "--band=5,x"), "two frequencies"),
        (("{f}/a.npy", "--fs=100", "--band=0.1,20"), "too few for the filter"),
        (("{f}/a.npy", "--fs=-1"), "must be positive"),
        (("{f}/a.npy", "--time_axis=3"), "0, 1 or 2"),
        (("{f}/a.npy", "--time_axis=1"), "NaN"),
        (("{f}/a.npy", "--phase=hilbert"), "phase"),
        (("{f}/a.mat", "--time_axis=2"), "--key: lfp, other"),
        (("{f}/flat.npy",), "time, height, width"),
        (("{f}/constant.npy",), "constant"),
        (("{f}/nan.npy",), "hold NaN"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(folder, capsys, arguments, words):
    np.save(folder / "flat.npy", np.ones((5, 5)))
    x = wave_fields.noise((60, 3, 4))
    x[:, 1, 1] = 2
    np.save(folder / "constant.npy", x)
    x[3, 1, 1] = np.nan
    np.save(folder / "nan.npy", x)
    arguments = [argument.format(f=folder) for argument in arguments]
    assert run(*arguments, f"--out={folder / 'bad'}") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error
    assert not (folder / "bad").exists()


def test_out_is_required(folder, capsys):
    assert run(folder / "a.npy") == 2
    assert "out" in capsys.readouterr().err


def test_the_analysis_needs_numpy_and_scipy_alone():
    source = [
        path.read_text()
        for path in pathlib.Path(waves.__file__).parent.glob("[!_]*.py")
    ]
    for word in ("import flax", "from flax", "import jax", "from jax", "training"):
        assert not any(word in text for text in source)
