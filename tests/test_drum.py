"""The drum verb: what it tells and writes, and what it refuses."""

import io
import wave

import numpy as np
import pytest
from PIL import Image

from nwm_jax import drum
from nwm_jax.data.segmentation.membranes import read_mask
from nwm_jax.errors import UserError
from nwm_jax.experiments.segmentation import drum as body
from nwm_jax.shell import cli


def run(capsys, *arguments):
    drum.FLAGS.unparse_flags()
    for name in drum.FLAGS:
        drum.FLAGS[name].unparse()
    with pytest.raises(SystemExit) as ended:
        cli.run(drum.main, drum.FLAGS, argv=["drum", *arguments])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_a_square(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(body, "_LADDERS", {"square": (4, 8)})
    picture, sound = tmp_path / "drum.png", tmp_path / "drum.wav"
    code, out, _ = run(
        capsys, "--size=8", "--canvas=12", f"--out={picture}", f"--wav={sound}"
    )
    assert not code
    assert "predicted area    81.42 (81.42 to 81.42 over all pixels)" in out
    assert "true area         81 = (size + 1)²" in out
    with Image.open(picture) as image:
        assert image.size[0] > 1000
    with wave.open(io.BytesIO(sound.read_bytes())) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert len(samples) == 16_000
    spectrum = np.abs(np.fft.rfft(samples))
    # A step of half a unit at 8,000 steps a second.
    assert np.argmax(spectrum) / 2 == pytest.approx(0.078367 * 0.5 * 8000, abs=0.6)


def test_a_membrane_of_one_s_own(tmp_path, capsys):
    mask = np.zeros((20, 24))
    mask[4:16, 3:15] = 1
    np.save(tmp_path / "mask.npy", mask)
    out = tmp_path / "own.png"
    code, text, _ = run(capsys, f"--mask={tmp_path / 'mask.npy'}", f"--out={out}")
    assert not code
    assert "144 pixels" in text
    # A square of 13 x 13 sounds higher than a disc of its area.
    assert "area at least     155.9" in text
    assert out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size=60"], "a square of size 60 needs a canvas of at least 62 pixels"),
        (["--dt=0.8"], "speed * dt = 0.8 must be above 0"),
        (["--out=drum.jpg"], "cannot write 'drum.jpg'"),
        (["--wav=drum.mp3"], "ending in .wav, not drum.mp3"),
        (["--mask=nothing.npy"], "nothing.npy does not exist"),
        (["--mask=nothing.npy", "--size=3"], "--mask goes without --shape"),
    ],
)
def test_refusals(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, error = run(capsys, *arguments)
    assert code == 2
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_masks_from_files(tmp_path):
    result = np.zeros((4, 5), np.uint8)
    result[1:3, 2] = 255
    Image.fromarray(result).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), result > 0)
    bad = {
        "deep.npy": np.zeros((2, 2, 2)),
        "empty.npy": np.zeros((3, 3)),
        "wide.npy": np.ones((2, 600)),
    }
    for name, array in bad.items():
        np.save(tmp_path / name, array)
    (tmp_path / "text.png").write_text("no picture")
    for name, message in {
        "deep.npy": "must hold numbers",
        "empty.npy": "has no membrane",
        "wide.npy": "at most 512",
        "text.png": "neither a .npy file nor a picture",
    }.items():
        with pytest.raises(UserError, match=message):
            read_mask(tmp_path / name)
