"""Range checks of a config."""

import pytest

from nwm_jax import presets
from nwm_jax.errors import UserError
from nwm_jax.presets import grammar
from nwm_jax.presets.validate import validate


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("batch_size=0", "batch_size=0 must be at least 1"),
        ("num_steps=-3", "num_steps=-3 must be at least 1"),
        ("steps_per_dispatch=-1", "steps_per_dispatch=-1 must be at least 0"),
        ("data.num_test=0", "data.num_test=0 must be at least 1"),
        ("eval.horizon=0", "eval.horizon=0 must be at least 1"),
        ("eval.every=-1", "eval.every=-1 must be at least 0"),
        ("seed=-1", "seed=-1 must be at least 0"),
        ("seed=5000000000", "seed=5000000000 must be below 2**32"),
        ("optimizer.clip=nan", "optimizer.clip=nan must be at least 0"),
        ("optimizer.clip=inf", "optimizer.clip=inf must be at least 0"),
        (
            "optimizer.learning_rate=nan",
            "optimizer.learning_rate=nan must be a finite number above 0",
        ),
        (
            "optimizer.learning_rate=0",
            "optimizer.learning_rate=0.0 must be a finite number above 0",
        ),
        ("data.dt=inf", "data.dt=inf must be a finite number above 0"),
        (
            "optimizer.warmup_steps=21",
            "optimizer.warmup_steps=21 must be at most num_steps=20",
        ),
        (
            "optimizer.name=adma",
            "unknown optimizer.name 'adma'; did you mean 'adam'?",
        ),
        (
            "optimizer.schedule=cosin",
            "unknown optimizer.schedule 'cosin'; did you mean 'cosine'?",
        ),
        ("model.name=nwm3d", "unknown model.name 'nwm3d'; did you mean 'nwm2d'?"),
        ("data.name=sprong", "unknown data.name 'sprong'; did you mean 'spring'?"),
        (
            "data.name=mas_spring",
            "unknown data.name 'mas_spring'; did you mean 'mass_spring'?",
        ),
        ("conv=fats", "unknown conv 'fats'; did you mean 'fast'?"),
        ("task=abc", "unknown task 'abc'; choose from forecasting"),
        ("model.grid=(5,)", "model.grid=(5,) must be two integers of at least 1"),
        ("model.grid=(0,5)", "model.grid=(0,5) must be two integers of at least 1"),
        ("model.num_ic=6", "model.num_ic=6 must be at most model.num_observed=5"),
        (
            "model.num_observed=12",
            "model.num_observed=12 must be below model.num_target=12",
        ),
        (
            "model.num_target=65",
            "model.num_target=65 must be at most data.num_frames=64",
        ),
        (
            "eval.horizon=53",
            "evaluation needs model.num_target + eval.horizon = 65 frames, but",
        ),
    ],
)
def test_refuses(overrides, message):
    config = presets.load(f"pendulum_nwm2d:smoke,{overrides}")
    with pytest.raises(UserError) as error:
        validate(config)
    assert str(error.value).startswith(message)


def test_limits_are_allowed():
    config = presets.load(
        "pendulum_nwm2d:smoke,model.num_ic=5,model.num_observed=11,eval.horizon=52,"
        "seed=4294967295,optimizer.warmup_steps=20,data.name=spring_colors"
    )
    assert validate(config) is config


def test_own_clips_have_their_own_length():
    config = presets.load("pendulum_nwm2d:smoke,data.path=frames.npy,eval.horizon=500")
    validate(config)


def test_missing_and_mistyped_fields_of_an_own_config():
    config = presets.load("pendulum_nwm2d:smoke").to_dict()
    del config["model"]["num_ic"]
    with pytest.raises(UserError, match="the config has no field model.num_ic"):
        validate(presets.from_dict(config))
    config["model"]["num_ic"] = "5"
    with pytest.raises(UserError, match="model.num_ic must be of type int, not '5'"):
        validate(presets.from_dict(config))


def test_foreign_config_is_checked_where_it_has_the_fields():
    config = presets.from_dict({"batch_size": 4, "mine": None})
    validate(config)
    grammar.override(config, "batch_size", "0")
    with pytest.raises(UserError, match="batch_size=0 must be at least 1"):
        validate(config)
