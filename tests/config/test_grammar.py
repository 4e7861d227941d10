"""The grammar of a config's argument."""

import pytest
from ml_collections import ConfigDict

from nwm_jax.config import grammar
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import configs


@pytest.mark.parametrize(
    ("argument", "preset", "overrides"),
    [
        ("", "paper", []),
        ("laptop", "laptop", []),
        ("laptop,", "laptop", []),
        ("seed=3", "paper", [("seed", "3")]),
        (
            "smoke,seed=3,model.grid=(5,5),data.dt=0.1",
            "smoke",
            [("seed", "3"), ("model.grid", "(5,5)"), ("data.dt", "0.1")],
        ),
        (
            "model.grid=[5, (5,5)], seed = 3 ",
            "paper",
            [("model.grid", "[5, (5,5)]"), ("seed", "3")],
        ),
        (
            "data.path='a,b=c',seed=1",
            "paper",
            [("data.path", "'a,b=c'"), ("seed", "1")],
        ),
        ("wandb=a=b", "paper", [("wandb", "a=b")]),
    ],
)
def test_parse(argument, preset, overrides):
    assert grammar.parse(argument) == (preset, overrides)


@pytest.mark.parametrize(
    "argument",
    ["seed=3,laptop", "laptop,smoke", "laptop,=3", "model.grid=(5,5", "a='b"],
)
def test_parse_refuses(argument):
    with pytest.raises(UserError):
        grammar.parse(argument)


@pytest.mark.parametrize(
    ("text", "like", "value"),
    [
        ("true", False, True),
        ("False", True, False),
        ("0", True, False),
        (None, False, True),
        ("7", 1, 7),
        ("-500_000", 1, -500_000),
        ("1e-4", 0.5, 1e-4),
        ("3", 0.5, 3.0),
        ("a b", "", "a b"),
        ("'a,b'", "", "a,b"),
        ("", "full", ""),
        ("(5,6)", (1, 1), (5, 6)),
        ("[5,6]", (1, 1), (5, 6)),
        ("5,6", (1, 1), (5, 6)),
        ("(1,0.5)", (0.0,), (1.0, 0.5)),
    ],
)
def test_coerce(text, like, value):
    result = grammar.coerce(text, like, "field")
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "like", "message"),
    [
        ("yes", False, "field takes true or false, not 'yes'"),
        ("3.0", 1, "field takes an integer, not '3.0'"),
        ("1e3", 1, "field takes an integer, not '1e3'"),
        ("fast", 0.5, "field takes a number, not 'fast'"),
        ("(5,a)", (1, 1), "field takes a tuple such as (5,5), not '(5,a)'"),
        ("(5,0.5)", (1, 1), "field takes a tuple such as (5,5), not '(5,0.5)'"),
        (None, 1, "field takes an integer; write field=value"),
        ("3", None, "field cannot be set from the command line"),
        (
            "3",
            ConfigDict({"a": 1, "b": 2}),
            "field is a group of fields; set one of field.a, field.b",
        ),
    ],
)
def test_coerce_refuses(text, like, message):
    with pytest.raises(UserError) as error:
        grammar.coerce(text, like, "field")
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("field", "nearest"),
    [
        ("learning_rate", "optimizer.learning_rate"),
        ("model.learning_rate", "optimizer.learning_rate"),
        ("optimiser.clip", "optimizer.clip"),
        ("batchsize", "batch_size"),
        ("eval.batchsize", "eval.batch_size"),
        ("model.gird", "model.grid"),
        ("eval.num_window", "eval.num_windows"),
    ],
)
def test_nearest_field(field, nearest):
    config = configs.get_config("pendulum", "nwm2d")
    assert grammar.nearest_field(config, field) == f"did you mean {nearest!r}?"


def test_nothing_near_lists_the_group():
    config = configs.get_config("pendulum", "nwm2d")
    assert grammar.nearest_field(config, "data.lr") == "choose from " + ", ".join(
        f"data.{key}" for key in config.data
    )


def test_protocol_names_what_was_changed():
    config = configs.get_config("pendulum", "nwm2d", "laptop,conv=bf16")
    assert config.protocol == "laptop-v2 + conv=bf16"
    config = configs.get_config("pendulum", "nwm2d", "laptop,seed=1,conv=xla")
    assert config.protocol == "laptop-v2"
    grammar.override(config, "batch_size", str(config.batch_size))
    grammar.override(config, "eval.every", "5")
    assert config.protocol == "laptop-v2"
    grammar.override(config, "batch_size", "3")
    grammar.override(config, "model.grid", "(5,5)")
    grammar.override(config, "batch_size", "4")
    grammar.override(config, "num_steps", "9")
    assert (
        config.protocol == "laptop-v2 + model.grid=(5,5) + batch_size=4 + num_steps=9"
    )
    assert config.preset == "laptop"


@pytest.mark.parametrize(
    ("argument", "name", "dt", "protocol"),
    [
        ("data.name=pennies", "pennies_nwm2d", 0.1, " + data.name=pennies"),
        ("data.name=pendulum", "pendulum_nwm2d", 0.05, " + data.name=pendulum"),
        ("data.name=lj_4", "lj_4_nwm2d", 0.004, " + data.name=lj_4"),
        ("data.name=birds", "birds_nwm2d", 0.05, " + data.name=birds"),
        ("data.name=spring", "spring_nwm2d", 0.05, ""),
        (
            "data.dt=0.05,data.name=pennies",
            "pennies_nwm2d",
            0.05,
            " + data.name=pennies + data.dt=0.05",
        ),
        (
            "name=mine,data.dt=0.2,data.name=pennies",
            "mine",
            0.2,
            " + data.name=pennies + data.dt=0.2",
        ),
    ],
)
def test_another_dataset_has_its_own_dt(argument, name, dt, protocol):
    config = configs.get_config("spring", "nwm2d", f"smoke,{argument}")
    assert (config.name, config.data.dt) == (name, dt)
    assert config.protocol == f"smoke{protocol}"


def test_a_dt_of_the_argument_holds_for_a_dataset_of_a_flag():
    config = configs.get_config("spring", "nwm2d", "smoke,data.dt=0.2")
    grammar.override_all(config, [("data.name", "pennies")])
    assert config.data.dt == 0.2
    config = configs.get_config("spring", "nwm2d", "smoke")
    grammar.override_all(config, [("data.dt", "0.05"), ("data.name", "lj_4")])
    assert config.data.dt == 0.05


def test_flatten():
    config = ConfigDict({"a": 1, "b": {"c": (1, 2), "d": {"e": ""}}})
    assert grammar.flatten(config) == {"a": 1, "b.c": (1, 2), "b.d.e": ""}
