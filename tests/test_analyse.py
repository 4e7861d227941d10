"""The verb, from files to numbers and pictures."""

import csv
import json
import pathlib
import re

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
    outcome = numbers["statistics"]
    assert outcome["missing"] == 1 and outcome["coherence"] > 0.95
    np.testing.assert_allclose(outcome["frequency"], 12, atol=0.3)
    np.testing.assert_allclose(outcome["velocity"], VECTOR, atol=0.05)
    fronts, spectrum = numbers["fronts"], numbers["spectrum"]
    speed = 2 * np.pi * 12 / np.hypot(*VECTOR)
    np.testing.assert_allclose(fronts["median_speed"], speed, rtol=0.1)
    assert abs(fronts["straight_per_unit_time"] - 12) < 2
    np.testing.assert_allclose(spectrum["peak_frequency"], 12, atol=0.5)
    assert spectrum["p_value"] == 0.05
    # The wave is longer than the array, which the spectrum says, and the fit is sure.
    assert spectrum["peak_is_at_least"] and spectrum["peak_wavelength"] == 10
    assert spectrum["wavelength_note"] == "at least 10 cells"
    assert spectrum["null"] and spectrum["peak_wave_vector"] is None
    np.testing.assert_allclose(outcome["wavelength"], 2 * np.pi / 0.5, rtol=0.05)
    np.testing.assert_allclose(outcome["speed"], speed, rtol=0.05)
    low, high = outcome["speed_interval"]
    assert low < outcome["speed"] < high
    classes = fronts["by_class"]
    assert classes["plane"] > 30 and sum(classes.values()) == fronts["count"]
    assert numbers["units"]["speed"] == "cells/s"
    assert numbers["units"]["frequency"] == "Hz"
    assert numbers["significance"]["travelling_index"]["p_value"] is None
    for name, value in numbers["statistics"].items():
        plain = (
            "coherence",
            "plane_wave",
            "goodness",
            "synchrony",
            "index",
            "singular",
        )
        sizes = ("frames", "height", "width", "missing", "skipped")
        if name not in sizes and not any(word in name for word in plain):
            assert name in numbers["units"], f"{name} = {value} has no unit"


def test_the_pictures(result):
    out, _ = result
    for name in ("snapshots", "space_time", "directions", "spectrum"):
        with Image.open(out / f"{name}.png") as picture:
            assert min(picture.size) > 200
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20
    names = {path.name for path in out.iterdir()} - {"waves.json"}
    tables = {"waves.csv", "critical_points.csv", "report.html", "waves.webp"}
    assert names == tables | {
        f"{name}.png" for name in ("snapshots", "space_time", "directions", "spectrum")
    }


def test_the_table_of_waves(result):
    out, numbers = result
    with open(out / "waves.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == numbers["fronts"]["count"]
    plane = [row for row in rows if row["class"] == "plane"]
    assert len(plane) == numbers["fronts"]["by_class"]["plane"]
    true = 2 * np.pi * 12 / np.hypot(*VECTOR)
    way = np.arctan2(*VECTOR)
    for name, value in (("speed (cells/s)", true), ("direction (rad)", way)):
        median = np.median([float(row[name]) for row in plane])
        np.testing.assert_allclose(median, value, rtol=0.1)
    inside = [
        float(row["speed low (cells/s)"]) <= true <= float(row["speed high (cells/s)"])
        for row in plane
    ]
    assert 0.8 <= np.mean(inside) <= 1
    assert all(row["p value"] == "" for row in rows)


def test_the_report_needs_no_other_file(result):
    out, _ = result
    page = (out / "report.html").read_text()
    assert page.count("data:image/png") == 4 and page.count("data:image/webp") > 10
    assert "default-src 'none'" in page and "cells/s" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("<tr>") > 40


def test_surrogates_and_spacing(folder):
    """A wave of many frequencies: of one alone a surrogate is its mirror image."""
    course = waves.band_pass(wave_fields.noise((600,)), (8, 16), fs=100)
    i, j = np.indices((8, 8))
    turned = waves.analytic_signal(course)[:, None, None]
    x = (turned * np.exp(-1j * (VECTOR[0] * i + VECTOR[1] * j))).real
    np.save(folder / "b.npy", x / x.std() + 0.3 * wave_fields.noise(x.shape))
    out = folder / "tested"
    common = ("--fs=100", "--band=5,20", f"--out={out}")
    options = ("--surrogates=19", "--spacing=0.5", "--skip=0.2")
    assert run(folder / "b.npy", *common, *options) == 0
    numbers = json.loads((out / "waves.json").read_text())
    for test in numbers["significance"].values():
        assert test["p_value"] == 0.05 and test["surrogates"] == 19
        assert "time-reversible" in test["null"]
    assert numbers["statistics"]["frames"] == 560
    assert numbers["units"]["speed"] == "mm/s"
    true = 0.5 * 2 * np.pi * 12 / np.hypot(*VECTOR)
    np.testing.assert_allclose(numbers["statistics"]["speed"], true, rtol=0.1)
    with open(out / "waves.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    outcome = [float(row["p value"]) for row in rows if row["class"] == "plane"]
    assert len(outcome) > 30 and 0.05 <= min(outcome) < 0.2 and max(outcome) <= 1
    assert "speed (mm/s)" in rows[0]


def test_sites_with_positions(folder):
    place = np.random.default_rng(0).uniform(0, 5, (40, 2))
    t = np.arange(300)[:, None] / 100
    x = np.cos(2 * np.pi * 12 * t - place @ VECTOR)
    np.save(folder / "sites.npy", x + 0.3 * wave_fields.noise(x.shape))
    text = "x,y\n" + "\n".join(f"{column},{row}" for row, column in place)
    (folder / "places.csv").write_text(text)
    common = ("--fs=100", "--band=5,20", f"--out={folder / 'sites'}")
    options = (f"--positions={folder / 'places.csv'}", "--spacing=2")
    assert run(folder / "sites.npy", *common, *options) == 0
    numbers = json.loads((folder / "sites" / "waves.json").read_text())
    true = 2 * 2 * np.pi * 12 / np.hypot(*VECTOR)
    np.testing.assert_allclose(numbers["statistics"]["speed"], true, rtol=0.05)
    np.testing.assert_allclose(numbers["fronts"]["median_speed"], true, rtol=0.1)
    assert numbers["fronts"]["by_class"]["plane"] > 30


def test_without_a_band_there_is_a_hint(folder, capsys):
    assert run(folder / "a.npy", "--fs=100", f"--out={folder / 'hint'}") == 0
    printed = capsys.readouterr().out
    assert "warning: no --band" in printed and "consider --band=" in printed


def test_which_axis_is_time(folder, capsys):
    x = wave_fields.plane_wave(VECTOR, (200, 9, 9))
    scipy.io.savemat(folder / "matlab.mat", {"x": np.moveaxis(x, 0, 2)})
    out = f"--out={folder / 'axis'}"
    assert run(folder / "matlab.mat", out) == 2
    error = capsys.readouterr().err
    assert "--time_axis=0" in error and "--time_axis=2" in error
    assert run(folder / "matlab.mat", "--time_axis=2", out) == 0
    assert "200 frames of 9 x 9" in capsys.readouterr().out
    np.save(folder / "cube.npy", wave_fields.plane_wave(VECTOR, (12, 10, 10)))
    assert run(folder / "cube.npy", out) == 0
    assert "say --time_axis" in capsys.readouterr().out


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
    assert "60 frames of 12 x 16 channels" in printed
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
