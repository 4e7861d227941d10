"""Range checks of a config."""

import math

import pytest

from nwm_jax.config import grammar, presets
from nwm_jax.config.validate import validate
from nwm_jax.errors import UserError
from nwm_jax.training import registry


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
        ("task=abc", "unknown task 'abc'; choose from forecasting, c"),
        ("model.grid=(5,)", "model.grid=(5,) must be two integers of at least 1"),
        ("model.grid=(0,5)", "model.grid=(0,5) must be two integers of at least 1"),
        ("model.num_ic=6", "model.num_ic=6 must be at most model.num_observed=5"),
        (
            "model.num_observed=12",
            "model.num_observed=12 must be below model.num_target=12",
        ),
        (
            "model.num_target=65",
            "training clips have model.num_target = 65 frames, but data.num_frames=64",
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
    config = presets.load("pendulum_nwm2d:smoke")
    with config.unlocked():
        del config.model["num_ic"]
        with pytest.raises(UserError, match=r"the config has no field model.num_ic"):
            validate(config)
        config.model.num_ic = "5"
    with pytest.raises(UserError, match=r"model.num_ic must be of type int, not '5'"):
        validate(config)


@pytest.mark.parametrize("group", ["data", "model"])
def test_a_config_without_names(group):
    stored = presets.load("pendulum_nwm2d:smoke").to_dict()
    del stored[group]["name"]
    with pytest.raises(UserError, match=f"the config has no field {group}.name"):
        validate(presets.from_dict(stored))


def test_fields_of_another_model():
    config = presets.load("pendulum_nwm2d:smoke,model.name=hgn")
    message = "model.channels is not a field of the model hgn: start from --config=pend"
    with pytest.raises(UserError, match=message):
        validate(config)
    config = presets.load("pendulum_nwm2d:smoke")
    with config.unlocked():
        config.data.colour = 3
    with pytest.raises(UserError, match=r"unknown config field 'data.colour'"):
        validate(config)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ar:smoke,model.units=0", "model.units=0 must be at least 1"),
        ("ar:smoke,model.latent=1", "model.latent=1 must be at least 2"),
        ("hgn:smoke,model.latent=7", "model.latent=7 must be even and at least 2"),
        ("ar:smoke,model.num_ic=6", "model.num_ic=6 must be at most model.num_observe"),
        ("ar:smoke,model.num_observed=12", "model.num_observed=12 must be below model"),
        ("hgn:smoke,model.beta=-1", "model.beta=-1.0 must be at least 0"),
        ("hgn:smoke,model.dt=0", "model.dt=0.0 must be a finite number other than 0"),
        ("hgn:smoke,model.dt=nan", "model.dt=nan must be a finite number other than"),
        (
            "lgn:smoke,model.integrator=leapfrog",
            "integrator 'leapfrog' does not fit this model; choose one of dopri5, eul",
        ),
        (
            "hgn:smoke,model.integrator=leapfrg",
            "integrator 'leapfrg' does not fit this model; choose one of dopri5, eule",
        ),
        (
            "ode:smoke,model.training=backward",
            "unknown model.training 'backward'; did you mean 'forward_backward'?",
        ),
        (
            "hgn:smoke,model.split=no_overlap",
            "training forward_backward needs split include_inference",
        ),
        (
            "hgn:smoke,model.num_observed=4",
            "num_observed is 4, but training forward_backward needs an odd number",
        ),
        ("rgn:smoke,model.num_target=0", "num_target is 0, but must be at least 1"),
        (
            "rgn:smoke,model.split=include_inference",
            "training forward with split include_inference needs a model that runs back",
        ),
        (
            "rgn:smoke,model.num_target=50",
            (
                "evaluation needs model.num_observed + model.num_target - 1 + eval.horizon "
                "= 66 frames, but data.num_frames=64"
            ),
        ),
        ("nwm2d:smoke,model.decode=q", "unknown model.decode 'q'; choose from xv, x"),
        ("hgn_conv:smoke,model.kappa=-1", "model.kappa=-1.0 must be at least 0"),
        (
            "hgn_conv:smoke,model.latent_channels=3",
            "model.latent_channels=3 must be even and at least 2",
        ),
        (
            "hgn_conv:smoke,eval.horizon=60",
            (
                "evaluation needs model.num_observed + model.num_target + eval.horizon "
                "= 65 frames, but data.num_frames=64"
            ),
        ),
    ],
)
def test_each_model_has_its_own_ranges(spec, message):
    config = presets.load(f"pendulum_{spec}")
    with pytest.raises(UserError) as error:
        validate(config)
    assert str(error.value).startswith(message)


def test_only_pairs_are_of_an_even_size():
    for model in ("ar", "ode", "rgn"):
        validate(presets.load(f"spring_{model}:smoke,model.latent=7"))


def test_integrators_that_fit():
    for spec in ("hgn:integrator=so4", "lgn:integrator=rk4", "ode:integrator=euler"):
        model, field = spec.split(":")
        validate(presets.load(f"spring_{model}:smoke,model.{field}"))
    validate(presets.load("spring_hgn:smoke,model.dt=-0.1,model.training=forward"))


def test_foreign_config_is_checked_where_it_has_the_fields():
    config = presets.from_dict({"batch_size": 4, "mine": None})
    validate(config)
    grammar.override(config, "batch_size", "0")
    with pytest.raises(UserError, match="batch_size=0 must be at least 1"):
        validate(config)


def test_every_field_says_what_it_means():
    for name, known in presets.definitions().items():
        for field, what in known.plain.meanings().items():
            assert what.meaning, f"{field} of {name}"


@pytest.mark.parametrize(
    "name",
    [
        *("pendulum_nwm2d", "spring_hgn", "spring_hgn_conv", "copy_wrnn"),
        *("psmnist_cornn", "polygons_nwm", "sine_nwm2d"),
    ],
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_field_takes_what_is_no_number(name, value):
    fields = grammar.flatten(presets.load(f"{name}:smoke"))
    floats = [field for field, like in fields.items() if isinstance(like, float)]
    tuples = [
        field
        for field, like in fields.items()
        if isinstance(like, tuple) and like and isinstance(like[0], float)
    ]
    assert "optimizer.learning_rate" in floats
    for field in floats + tuples:
        config = presets.load(f"{name}:smoke")
        group, _, key = field.rpartition(".")
        holder = config[group] if group else config
        holder[key] = value if field in floats else (1.0, value)
        with pytest.raises(UserError, match=field):
            validate(config)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pendulum_nwm2d:smoke,data.dt=1000", "data.dt is 1000: .* at most 250"),
        ("pennies_nwm2d:smoke,data.dt=1000", "data.dt is 1000: .* at most"),
        ("lj_4_nwm2d:smoke,data.dt=1000", "data.dt is 1000: .* at most 20"),
        ("polygons_nwm:smoke,data.corners=(2,3)", r"data.corners=\(2, 3\)"),
        ("polygons_nwm:smoke,data.corners=()", "data.corners"),
        ("polygons_nwm:smoke,data.corners=(3,3)", "data.corners"),
        ("polygons_nwm:smoke,data.radius=(6.0,40.0)", "data.radius=40 do not fit"),
        ("polygons_nwm:smoke,data.radius=(9.0,6.0)", "data.radius"),
        ("polygons_nwm:smoke,data.radius=(6.0,)", "data.radius=.*two numbers"),
        ("tetrominoes_nwm:smoke,data.cell=9", "data.cell=9 .* data.side=32"),
        ("multimnist_nwm:smoke,data.side=20", "data.side=20 must be at least 42"),
        ("adding_wrnn:smoke,model.speed=2.0", "speed=2 must be from 0 to 1"),
        ("adding_wrnn:smoke,model.speed=-1.0", "speed=-1 must be"),
        ("tetrominoes_nwm:smoke,model.dt=3.0", "dt=3 of a wave sheet"),
        ("sine_nwm2d:smoke,model.kernel_fill=1e30", "kernel_fill must be a number"),
        ("spring_hgn:smoke,model.dt=1e30", r"dt=1e\+30 must be at most"),
        ("spring_hgn:smoke,model.beta=1e30", r"beta=1e\+30 from 0 to"),
    ],
)
def test_what_can_be_known_is_refused_before_anything_is_written(
    spec, message, tmp_path, monkeypatch
):
    monkeypatch.setenv("NWM_JAX_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=message) as error:
        registry.build(validate(presets.load(spec)))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
