"""report.html: complete, escaped, in one file that loads nothing."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from nwm_jax import report as verb
from nwm_jax.errors import UserError
from nwm_jax.figures import page
from nwm_jax.runs import report

EVIL = "<script>alert('x')</script>"


@pytest.fixture
def workdir(tmp_path):
    """A finished run whose texts try to get out."""
    folder = tmp_path / "run"
    (folder / "figures").mkdir(parents=True)
    config = {"name": EVIL, "protocol": "smoke", "task": "toy", "seed": 3}
    stored = {
        "config": config,
        "versions": {"jax": "9.9"},
        "command_line": ["train", f"--workdir={EVIL}"],
    }
    (folder / "config.json").write_text(json.dumps(stored))
    scores = {"forecast": 0.125, "mean_image": 0.25, "last_frame": None}
    evaluation = {"step": 7, "mse": scores, "waves": {"speed": 2.5}, EVIL: 1}
    (folder / "eval.json").write_text(json.dumps(evaluation))
    frames = [Image.fromarray(np.full((8, 8, 3), k * 50, np.uint8)) for k in range(4)]
    frames[0].save(folder / "figures/strip.png")
    movie = folder / "figures/forecast.webp"
    frames[0].save(movie, save_all=True, append_images=frames[1:], duration=40)
    return folder


def test_a_report_shows_the_run(workdir):
    page = report.write(workdir).read_text()
    for text in ("0.125", "0.25", "mean image", "jax", "9.9", "step 7", "not trained"):
        assert text in page
    assert "speed (cells/frame)" in page
    assert page.count("data:image/webp") == 4
    assert page.count("data:image/png") == 1
    assert 'data-interval="40"' in page


def test_texts_of_a_run_are_escaped(workdir):
    page = report.write(workdir).read_text()
    assert EVIL not in page
    assert "&lt;script&gt;" in page


def test_nothing_is_loaded(workdir):
    page = report.write(workdir).read_text()
    assert "default-src 'none'" in page
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_a_run_without_an_evaluation(workdir):
    shutil.rmtree(workdir / "figures")
    (workdir / "eval.json").unlink()
    assert "Not evaluated" in report.write(workdir).read_text()


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UserError, match="not a workdir"):
        report.write(tmp_path)


def test_several_runs(workdir, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(workdir, other)
    (tmp_path / "empty").mkdir()
    out = tmp_path / "all.html"
    folders = [workdir, other, tmp_path / "empty"]
    page = report.write_comparison(folders, ["| a | b |"], out).read_text()
    assert "| a | b |" in page and "skipped" in page and page.count("<details>") >= 2
    with pytest.raises(UserError, match=r"\.html"):
        report.write_comparison(folders, [], tmp_path / "x.txt")
    with pytest.raises(UserError, match="no run"):
        report.write_comparison([tmp_path / "empty"], [], out)


def test_large_pictures_do_not_make_a_large_page(workdir):
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)
    Image.fromarray(noise).save(workdir / "figures/noise.png")
    path = report.write(workdir)
    assert path.stat().st_size <= page.LARGEST
    assert "noise.png is too large" in path.read_text()


@pytest.mark.slow
def test_in_a_browser(workdir, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no Chromium on this machine")
    picture = tmp_path / "page.png"
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=400,900",
        "--virtual-time-budget=2000",
        f"--screenshot={picture}",
        report.write(workdir).as_uri(),
    ]
    ended = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    console = [line for line in ended.stderr.splitlines() if "CONSOLE" in line]
    assert not console
    with Image.open(picture) as shown:
        colors = shown.convert("RGB").getcolors(10**6)
        assert len(colors) > 10  # not an empty page


def test_the_verb_needs_one_of_its_flags():
    verb.FLAGS.unparse_flags()
    verb.FLAGS(["report"])
    with pytest.raises(UserError, match="--workdir"):
        verb.main([])
