"""What the verbs tell on the screen."""

import pytest

from nwm_jax.config import presets
from nwm_jax.experiments.forecasting.task import Forecasting
from nwm_jax.experiments.wave_statistics import WaveStatistics
from nwm_jax.shell import machine, screen
from nwm_jax.training.registry import build

SMALL = "model.grid=(3,4),model.conv_channels=2,model.num_target=33"


def test_the_cost_of_a_paper_preset_is_told_without_making_data(tmp_path):
    cache = tmp_path / "cache"
    for preset in ("paper", "laptop"):
        config = presets.load(f"pendulum_cornn:{preset},{SMALL},data.cache_dir={cache}")
        message = screen.forewarn(config, build(config))
        if preset == "paper":
            assert message.startswith("note: a step of this config takes about ")
            assert "--config=pendulum_cornn:laptop" in message
        else:
            assert message is None
    assert not cache.exists() or not list(cache.iterdir())


@pytest.mark.parametrize(
    ("given", "tunables", "message"),
    [
        ("always [madvise] never", None, True),
        ("always [madvise] never", "glibc.malloc.hugetlb=1", False),
        ("always [madvise] never", "glibc.malloc.check=1", True),
        ("[always] madvise never", None, False),
        ("always madvise [never]", None, False),
        (None, None, False),  # not Linux
    ],
)
def test_huge_pages_are_advised_where_they_are_missing(
    tmp_path, monkeypatch, given, tunables, message
):
    setting = tmp_path / "enabled"
    if given:
        setting.write_text(given)
    monkeypatch.setattr(machine, "_HUGE_PAGES", setting)
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if tunables:
        monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    notes = [note for note in screen.advice() if "huge pages" in note]
    assert len(notes) == message
    assert not message or machine.ASK_FOR_HUGE_PAGES in notes[0]


def test_a_smoke_result_says_that_it_is_not_trained():
    report = {"step": 8, "num_windows": 2, "relative_mse": {"forecast": 0.5}}
    for protocol, trained in (
        ("smoke", False),
        ("smoke + 4 steps", False),
        ("laptop", True),
    ):
        text = screen.scores(Forecasting, report | {"protocol": protocol})
        assert ("not trained" in text) != trained


def test_wave_statistics_are_shown_with_their_units():
    numbers = {"coherence": 0.5, "wave_number": 0.4, "frequency": 0.1, "speed": 1.5}
    (line,) = WaveStatistics.headline(numbers)
    assert "wave_number in rad/cell" in line
    assert "speed in cells/frame" in line
    assert "coherence in" not in line


def test_every_metric_has_its_line():
    errors = {"forecast": 0.1, "mean_image": 0.25, "last_frame": None}
    both = {"mse": 0.5, "relative_mse": 0.5, "table_units": 3.0}
    message = {
        "protocol": "laptop",
        "step": 7,
        "num_windows": 8,
        **dict.fromkeys(("mse", "relative_mse", "table_units"), errors),
        "backward": both | {"per_frame": {"mse": [1.0]}},
        "combined": both,
        "vpt": {"segment": 196, "forward_abs": 12.5, "last_frame_abs": 3.0},
        "energy": {"drift": {"forecast": 0.02}, "model_drift": 0.125},
        "symetric": {"score": 0.5, "rsq": 0.95},
    }
    lines = [
        " ".join(line.split())
        for line in screen.scores(Forecasting, message).splitlines()
    ]
    assert lines[0] == "step 7, protocol laptop, 8 test windows:"
    assert lines[1] == "mse forecast 0.1 mean_image 0.25 last_frame -"
    assert lines[4:] == [
        "backward mse 0.5 relative_mse 0.5 table_units 3",
        "combined mse 0.5 relative_mse 0.5 table_units 3",
        "symetric score 0.5 rsq 0.95",
        "vpt forward 12.5 last_frame 3 (frames of 196, medians of 5)",
        "energy drift forecast 0.02",
        "own energy drift 0.125",
    ]
