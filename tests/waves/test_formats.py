"""Every format is read from a file that its own library wrote."""

import datetime
import json
import socket
import sys
import urllib.request

import numpy as np
import pytest
from PIL import Image

from nwm_jax.errors import UserError
from nwm_jax.waves import formats, lab_formats, side_files
from tests.helpers import wave_fields

X = wave_fields.noise((20, 5, 6)).astype(np.float32)
COUNTS = np.round(1000 * np.abs(X)).astype(np.uint16)


def test_matlab_7_3(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        file["lfp"] = X.transpose(2, 1, 0)  # as MATLAB stores [20, 5, 6]
        file["fs"] = np.array([[1000.0]])
    with open(tmp_path / "a.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    np.testing.assert_array_equal(formats.read(tmp_path / "a.mat").data, X)
    np.testing.assert_array_equal(formats.read(tmp_path / "a.mat", "lfp").data, X)
    with pytest.raises(UserError, match="did you mean 'lfp'"):
        formats.read(tmp_path / "a.mat", "lfq")


def test_tiffs(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", COUNTS, photometric="minisblack")
    result = formats.read(tmp_path / "a.tif")
    assert result.ordered
    np.testing.assert_array_equal(result.data, COUNTS)
    folder = tmp_path / "frames"
    folder.mkdir()
    for k, frame in enumerate(COUNTS):
        tifffile.imwrite(folder / f"movie_{k + 1}.tif", frame)
    np.testing.assert_array_equal(formats.read(folder).data, COUNTS)
    tifffile.imwrite(folder / "movie_3.tif", COUNTS[0, :4])
    with pytest.raises(UserError, match="not frames of one size"):
        formats.read(folder)
    (tmp_path / "b.tif").write_bytes(b"II*\x00 and then nothing")
    with pytest.raises(UserError, match="not a readable TIFF"):
        formats.read(tmp_path / "b.tif")


def test_raw_numbers(tmp_path):
    COUNTS.tofile(tmp_path / "a.bin")
    result = formats.read(tmp_path / "a.bin", shape=(20, 5, 6), dtype="uint16")
    assert isinstance(result.data, np.memmap)
    np.testing.assert_array_equal(result.data, COUNTS)
    for options, words in [
        ({"shape": (20, 5, 6)}, "both --shape and --dtype"),
        ({"shape": (20, 5, 7), "dtype": "uint16"}, "takes 1,400"),
        ({"shape": (20, 5, 6), "dtype": "int17"}, "int16"),
        ({"shape": (20, 5, 6), "dtype": "O"}, "real"),
    ]:
        with pytest.raises(UserError, match=words):
            formats.read(tmp_path / "a.bin", **options)


@pytest.fixture
def nwb_file():
    pynwb = pytest.importorskip("pynwb")
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    return pynwb, pynwb.NWBFile("a test", "id", start)


def test_nwb_electrodes(tmp_path, nwb_file):
    pynwb, file = nwb_file
    device = file.create_device("array")
    group = file.create_electrode_group("g", "a grid", "cortex", device)
    for k in range(12):
        file.add_electrode(
            group=group, location="V1", rel_x=400.0 * (k % 4), rel_y=400.0 * (k // 4)
        )
    chosen = file.create_electrode_table_region(list(range(1, 12)), "all but one")
    data = X.reshape(20, -1)[:, :11]
    series = pynwb.ecephys.ElectricalSeries(
        name="lfp", data=data, electrodes=chosen, rate=1000.0
    )
    file.add_acquisition(series)
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "w") as out:
        out.write(file)
    result = formats.read(tmp_path / "a.nwb")
    np.testing.assert_array_equal(result.data, data)
    assert result.fs == 1000 and result.unit == "um" and result.ordered
    np.testing.assert_array_equal(result.positions[[0, 3]], [[0, 400], [400, 0]])


def test_nwb_images(tmp_path, nwb_file):
    pynwb, file = nwb_file
    times = np.arange(20) / 25
    for name in ("first", "second"):
        series = pynwb.image.ImageSeries(
            name=name, data=COUNTS, unit="a", timestamps=times
        )
        file.add_acquisition(series)
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "w") as out:
        out.write(file)
    with pytest.raises(UserError, match="--key: first, second"):
        formats.read(tmp_path / "a.nwb")
    result = formats.read(tmp_path / "a.nwb", "second")
    np.testing.assert_array_equal(result.data, COUNTS)
    np.testing.assert_allclose(result.fs, 25)


@pytest.mark.parametrize("suffix", ["pl2", "abf", "plx", "raw"])
def test_foreign_files_are_refused_and_fetch_nothing(suffix, tmp_path, monkeypatch):
    pytest.importorskip("neo")
    fetched = []
    monkeypatch.setattr(socket.socket, "connect", lambda *_: fetched.append(1))
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: fetched.append(1))
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(np.random.default_rng(0).bytes(5_000))
    with pytest.raises(UserError, match=rf"^a\.{suffix} "):
        lab_formats.read_neo(path, "")
    assert not fetched


def test_what_neo_reads(tmp_path):
    neo = pytest.importorskip("neo")
    import quantities

    data = X.reshape(20, -1)[:, :4].astype(float)
    signal = neo.AnalogSignal(data, units="mV", sampling_rate=500 * quantities.Hz)
    block, segment = neo.Block(), neo.Segment()
    segment.analogsignals.append(signal)
    block.segments.append(segment)
    neo.io.AsciiSignalIO(str(tmp_path / "a.txt")).write_block(block)
    result = formats.read(tmp_path / "a.txt")
    np.testing.assert_allclose(result.data, data)
    direct = lab_formats.as_recording(signal)
    np.testing.assert_array_equal(direct.data, data)
    np.testing.assert_allclose(direct.fs, 500)
    movie = neo.ImageSequence(
        X, units="V", sampling_rate=25 * quantities.Hz, spatial_scale=1 * quantities.um
    )
    result = lab_formats.as_recording(movie)
    np.testing.assert_array_equal(result.data, X)
    np.testing.assert_allclose(result.fs, 25)


def test_pickles_are_not_read(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"cos\nabort\n(tR.")
    with pytest.raises(UserError, match="pickled"):
        formats.read(tmp_path / "a.pkl")


def test_xarray():
    xarray = pytest.importorskip("xarray")
    movie = xarray.DataArray(
        np.moveaxis(X, 0, 2),
        dims=("y", "x", "time"),
        coords={"time": np.arange(20) / 50},
    )
    result = lab_formats.as_recording(movie)
    np.testing.assert_array_equal(result.data, X)
    np.testing.assert_allclose(result.fs, 50)
    place = {"row": ("site", np.arange(6.0)), "column": ("site", np.ones(6))}
    sites = xarray.DataArray(X[:, 0], dims=("time", "site"), coords=place)
    result = lab_formats.as_recording(sites)
    np.testing.assert_array_equal(result.positions[2], [2, 1])
    assert lab_formats.as_recording(X).data is X
    with pytest.raises(UserError, match="dimension time"):
        lab_formats.as_recording(xarray.DataArray(X))


def test_positions(tmp_path):
    place = np.arange(8.0).reshape(4, 2)
    np.save(tmp_path / "a.npy", place)
    (tmp_path / "a.json").write_text(json.dumps({"sites": place.tolist()}))
    (tmp_path / "b.json").write_text(json.dumps(place.tolist()))
    lines = [f"{row},{column}" for row, column in place]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    (tmp_path / "b.csv").write_text("\n".join(["row,column", *lines]))
    turned = [f"{column}\t{row}\tc" for row, column in place]
    (tmp_path / "c.tsv").write_text("\n".join(["x\ty\tname", *turned]))
    for name in ("a.npy", "a.json", "b.json", "a.csv", "b.csv", "c.tsv"):
        np.testing.assert_array_equal(side_files.read_positions(tmp_path / name), place)
    (tmp_path / "d.csv").write_text("one,two\nthree,four")
    np.save(tmp_path / "d.npy", X)
    for name in ("d.csv", "d.npy", "none.csv", "e.doc"):
        (tmp_path / "e.doc").touch()
        with pytest.raises(UserError, match="--positions"):
            side_files.read_positions(tmp_path / name)


def test_masks(tmp_path):
    mask = np.zeros((5, 6), bool)
    mask[1:4, 2:] = True
    np.save(tmp_path / "a.npy", mask)
    Image.fromarray((mask * 255).astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(mask.astype(np.float32)).save(tmp_path / "a.tif")
    import scipy.io

    scipy.io.savemat(tmp_path / "a.mat", {"mask": mask.astype(float)})
    names = ["a.npy", "a.png", "a.mat"]
    names += ["a.tif"] if _has("tifffile") else []
    for name in names:
        np.testing.assert_array_equal(side_files.read_mask(tmp_path / name), mask)
    np.save(tmp_path / "b.npy", X)
    with pytest.raises(UserError, match="height, width"):
        side_files.read_mask(tmp_path / "b.npy")


@pytest.mark.parametrize(
    "name, library", [("a.tif", "tifffile"), ("a.nwb", "pynwb"), ("a.edf", "neo")]
)
def test_without_the_extra_one_line_names_it(tmp_path, monkeypatch, name, library):
    (tmp_path / name).write_bytes(b"something")
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, f"{library}.io", None)
    with pytest.raises(UserError, match=rf"{library}.*nwm_jax\[recordings\]"):
        formats.read(tmp_path / name)


def _has(library: str) -> bool:
    try:
        __import__(library)
    except ImportError:
        return False
    return True
