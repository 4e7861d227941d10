"""The verb `generate`: its flags, pictures and progress; `data` tests what it writes."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from nwm_jax import generate
from nwm_jax.data import generation, suite, tfrecord
from nwm_jax.data.request import Request
from nwm_jax.shell import cli

SMALL = Request("mass_spring_colors", 6, 3, num_steps=4, dt=0.05, seed=3)
ARGUMENTS = ("--num_train=6", "--num_test=3", "--num_steps=4", "--seed=3")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished dataset; not to be changed."""
    return generation.generate(SMALL, tmp_path_factory.mktemp("finished"))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run(*arguments):
    """Runs the verb in this process; its exit code."""
    for name in generate.FLAGS:
        generate.FLAGS[name].unparse()
    with pytest.raises(SystemExit) as end:
        cli.run(generate.main, generate.FLAGS, argv=["generate", *arguments])
    return end.value.code


def test_the_command(tmp_path, finished, capsys):
    command = ("--dataset=spring_colors", *ARGUMENTS, f"--out={tmp_path / 'set'}")
    assert not run(*command)
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"mass_spring_colors: {tmp_path / 'set'}"
    )
    assert contents(tmp_path / "set") == contents(finished)
    assert run(*command) == 2
    assert not run(*command, "--overwrite")


def test_clips(tmp_path, finished, capsys):
    file = tmp_path / "clips.npy"
    command = ("--dataset=spring_colors", "--clips=3", "--seed=3", f"--out={file}")
    assert not run(*command, "--num_steps=4")
    clips = np.load(file)
    assert clips.shape == (3, 5, 32, 32, 3) and clips.dtype == np.uint8
    same = [record["image"] for record in tfrecord.read(finished, "test")]
    assert np.array_equal(clips, same)
    assert run("--dataset=spring_colors", "--clips=3", f"--out={tmp_path / 'x'}") == 2
    assert ".npy" in capsys.readouterr().err


def test_sizes_are_the_published_ones(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        generation, "generate", lambda request, *args, **kwargs: asked.append(request)
    )
    run("--dataset=mass_spring_long_trajectory", f"--out={tmp_path}")
    run("--dataset=matching_pennies", f"--out={tmp_path}", "--num_train=0")
    run("--dataset=lj_4", f"--out={tmp_path}")
    assert asked == [
        Request("mass_spring_long_trajectory", 0, 500, 1023, 0.05, 0),
        Request("matching_pennies", 0, 20_000, 511, 0.1, 0),
        Request("lj_4", 50_000, 20_000, 255, 0.004, 0),
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--out=x"], "--dataset is required"),
        (["--dataset=pendulum"], "--out is required"),
        (["--dataset=pendulun", "--out=x"], "unknown dataset 'pendulun'"),
        (["--dataset=pendulum", "--out=x", "--format=zip"], "tfrecord|states"),
        (["--dataset=pendulum", "--out=x", "--num_train=many"], "not an integer"),
        (["--dataset=pendulum", "--out=x", "--num_steps=-1"], "num_steps is -1"),
        (["--dataset=pendulum", "--preview=x.jpg"], "must end in .gif or .webp or"),
        (["--dataset=pendulum", f"--out={'x' * 300}"], "File name too long"),
        (["--dataset=pendulum", "--ouy=x"], "did you mean '--out'?"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path, monkeypatch, capsys, arguments, text):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and text in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_a_preview_shows_what_would_be_written(finished, tmp_path, suffix):
    path = tmp_path / f"sheet.{suffix}"
    assert not run("--dataset=mass_spring_colors", *ARGUMENTS, f"--preview={path}")
    assert list(tmp_path.iterdir()) == [path]
    clip = tfrecord.read(finished, "train")[1]["image"]
    with Image.open(path) as sheet:
        if suffix == "png":  # its second row, last column; down is down
            pixels = np.asarray(sheet)[68:132, -64:]
            np.testing.assert_array_equal(pixels[::2, ::2], clip[-1, ::-1])
        else:
            assert sheet.n_frames == 5
            pixels = np.asarray(sheet.convert("RGB"))[:96, 100:196]
            wrong = np.abs(pixels[1::3, 1::3].astype(int) - clip[0, ::-1])
            assert wrong.max() <= (0 if suffix == "webp" else 40)


def test_a_picture_that_cannot_be_written(tmp_path, capsys):
    path = tmp_path / f"{'x' * 300}.png"
    assert run("--dataset=mass_spring_colors", *ARGUMENTS, f"--preview={path}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "File name too long" in line


def test_progress_in_a_log_and_on_a_terminal():
    log = io.StringIO()
    bar = generate.Bar(log)
    for done in (3, 4, 9):
        bar(done, 9)
    bar.close()
    (line,) = log.getvalue().splitlines()
    assert line.startswith("trajectory 9/9  ")

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    bar = generate.Bar(terminal)
    bar(9, 9)
    bar.close()
    assert "trajectory 9/9" in terminal.getvalue()
    assert "None" not in terminal.getvalue()


def test_every_dataset_has_a_picture_in_the_documentation():
    root = pathlib.Path(__file__).parents[1]
    page = (root / "docs/data.md").read_text()
    for name in suite.DATASETS:
        if not name.endswith("_long_trajectory"):
            path = f"results/datasets/{name}.png"
            assert f"| `{name}`" in page and f'src="{path}"' in page
            assert (root / "docs" / path).stat().st_size < 40_000


def test_the_help_names_the_datasets():
    for name in suite.DATASETS:
        assert name in generate.FLAGS["dataset"].help
