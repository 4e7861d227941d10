"""Configs of segmentation: the paper's numbers, short forms, lists of seeds, ranges."""

import pytest

from nwm_jax.config import grammar, presets
from nwm_jax.config.validate import validate
from nwm_jax.errors import UserError
from nwm_jax.experiments.segmentation import configs
from nwm_jax.experiments.sequences import grids


def test_plain_is_the_paper_s():
    config = presets.load("tetrominoes_nwm")
    assert (config.batch_size, config.num_steps) == (64, 300 * 156)
    assert config.eval.every == 156
    assert config.optimizer.name == "adam"
    assert config.optimizer.learning_rate == 1e-3
    assert config.optimizer.clip == config.optimizer.weight_decay == 0
    assert (config.model.num_steps, config.model.dt) == (100, 0.1)
    assert presets.load("mnist_convlstm").model.num_steps == 20
    assert presets.load("mnist_cnn").num_steps == 300 * 796
    large = presets.load("multimnist_nwm").model
    assert (large.channels, large.units, large.hidden_layers) == (16, 32, 5)


def test_every_dataset_with_every_model():
    assert len(configs.CONFIGS) == 16
    for name, known in configs.CONFIGS.items():
        for preset in known.presets():
            config = presets.load(f"{name}:{preset}")
            assert f"{config.data.name}_{config.model.name}" == name
            side = config.data.get("side", 28 * config.data.get("zoom", 1))
            assert config.model.name != "unet" or side % 16 == 0
            validate(config)


def test_short_forms():
    config = presets.load("mnist_nwm:laptop,readout=fft,T=30,width=8")
    assert config.model.readout == "fft"
    assert (config.model.num_steps, config.model.width) == (30, 8)
    assert "model.readout=fft" in config.protocol
    assert presets.load("mnist_cnn:depth=32").model.depth == 32


def test_the_published_seeds():
    result = grids.sweep("tetrominoes_nwm")
    assert len(result) == 50
    assert result[0] == {"model.readout": "fft", "seed": 2000}
    assert result[-1] == {"model.readout": "mean_time", "seed": 2409}
    deep = [run["seed"] for run in grids.sweep("mnist_cnn") if run["model.depth"] == 32]
    assert deep == list(range(8800, 8810))
    widths = [run["seed"] for run in grids.sweep("multimnist_unet")]
    assert len(widths) == 48 == len(set(widths))
    assert {400, 419, 3430, 3431} <= set(widths)
    for name, runs in grids.SEEDS.items():
        fields = grammar.flatten(presets.load(name))
        for run in runs:
            assert all(type(fields[field]) is type(v) for field, v in run.items())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tetrominoes_nwm:readout=sum", "unknown model.readout 'sum'"),
        ("tetrominoes_cnn:depth=1", "model.depth=1 must be at least 2"),
        ("tetrominoes_nwm:data.cell=1", "data.cell=1 must be at least 2"),
        ("polygons_nwm:T=0", "model.num_steps=0 must be at least 1"),
        ("polygons_nwm:model.hidden_layers=-1", "model.hidden_layers=-1 must be at"),
    ],
)
def test_refusals(spec, message):
    with pytest.raises(UserError, match=message):
        validate(presets.load(spec))


def test_fields_of_another_model_are_refused():
    config = presets.load("polygons_nwm:smoke")
    with config.unlocked():
        config.model.depth = 3
    with pytest.raises(UserError, match="not a field of the model nwm"):
        validate(config)
    with pytest.raises(UserError, match="unknown config 'polygon_nwm'; did you mean"):
        presets.load("polygon_nwm")
