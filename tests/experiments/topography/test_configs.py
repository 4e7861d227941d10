"""Configs of the topographic experiments: the paper's numbers, ranges."""

import re

import pytest

from nwm_jax.config import presets
from nwm_jax.config.validate import validate
from nwm_jax.errors import UserError


def test_paper_is_the_papers():
    config = presets.load("rotating_mnist_nwm2d")
    assert (config.batch_size, config.num_steps, config.seed) == (128, 18_750, 1)
    result = config.optimizer
    assert (result.name, result.learning_rate, result.momentum) == ("sgd", 2.5e-4, 0.9)
    assert (config.data.num_frames, config.eval.num_frames) == (18, 72)
    assert config.data.num_valid == 12_000
    assert config.model.to_dict() == {
        "name": "nwm2d",
        "grid": (36, 36),
        "kernel_size": 3,
        "state_norm": False,
        "kernel_fill": 0.0,
        "dt": pytest.approx(0.12455335818741645),
        "encoder": (),
        "decoder": (),
        "start": "repeat",
    }
    rings = presets.load("rotating_mnist_nwm1d")
    assert (rings.batch_size, rings.num_steps) == (8, 300_000)
    assert rings.model.grid == (24, 54) and rings.model.state_norm
    assert rings.model.encoder == (7776, 5184) and rings.model.decoder == (2592, 3888)
    sine = presets.load("sine_nwm2d")
    assert sine.model.grid == (72, 72) and sine.data.num_frames == 36
    assert (sine.data.size, sine.data.wavelength) == (28, 24.0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sine_nwm2d:data.num_frames=30", "data.num_frames=30 must be whole periods"),
        (
            "rotating_mnist_nwm2d:eval.num_frames=71",
            "eval.num_frames=71 must be whole periods",
        ),
        ("rotating_mnist_nwm2d:model.grid=(36,)", "model.grid=(36,) must be two int"),
        ("rotating_mnist_nwm2d:model.kernel_size=4", "model.kernel_size=4 must be odd"),
        ("rotating_mnist_nwm1d:model.encoder=(0,5)", "model.encoder=(0,5) must be wid"),
        ("rotating_mnist_nwm1d:model.start=late", "unknown model.start 'late'"),
        ("sine_nwm2d:data.wavelength=0", "data.wavelength=0.0 must be a finite num"),
        ("sine_nwm2d:model.dt=1.5", "model.dt=1.5 must be between 0 and 1"),
        ("sine_nwm2d:data.size=0", "data.size=0 must be at least 1"),
        ("noise_nwm2d:optimizer.momentum=-1", "optimizer.momentum=-1.0 must be at"),
        ("noise_nwm2d:conv=im2col", "unknown conv 'im2col'"),
        ("pendulum_nwm2d:model.kernel_size=2", "model.kernel_size=2 must be odd"),
        ("noise_nwm2d:data.wavelength=3", "unknown config field 'data.wavelength'"),
        ("sine_nwm2d:model.name=cornn", "unknown model.name 'cornn'"),
    ],
)
def test_refuses(spec, message):
    with pytest.raises(UserError, match=re.escape(message)):
        validate(presets.load(spec))
