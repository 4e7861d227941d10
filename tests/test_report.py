"""What the verbs tell on the screen."""

from nwm_jax import presets, report
from nwm_jax.tasks import build

SMALL = "model.grid=(3,4),model.conv_channels=2,model.num_target=33"


def test_the_cost_of_a_paper_preset_is_told_without_making_data(tmp_path):
    cache = tmp_path / "cache"
    for preset in ("paper", "laptop"):
        config = presets.load(f"pendulum_cornn:{preset},{SMALL},data.cache_dir={cache}")
        told = report.forewarn(config, build(config))
        if preset == "paper":
            assert told.startswith("note: a step of this config takes about ")
            assert "--config=pendulum_cornn:laptop" in told
        else:
            assert told is None
    assert not cache.exists() or not list(cache.iterdir())
