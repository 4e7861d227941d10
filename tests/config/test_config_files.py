"""Experiments by file and by name."""

import json
import pathlib
import re

import pytest

from nwm_jax.config import grammar, presets
from nwm_jax.config.validate import validate
from nwm_jax.data import suite
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import configs

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
FILES = sorted(CONFIGS.glob("*.py"))
EACH = [
    pytest.param(file, preset, id=f"{file.stem}:{preset}")
    for file in FILES
    for preset in presets.definitions()[file.stem].presets()
]


@pytest.mark.parametrize(("file", "preset"), EACH)
def test_every_file_and_preset(file, preset):
    config = presets.load(f"{file}:{preset}")
    assert config == presets.load(f"{file.stem}:{preset}")
    assert config.name == file.stem
    assert config.preset == preset
    # New numbers, another name: what was made with the old ones stands apart.
    renewed = ("laptop", "fair_laptop") if config.task == "forecasting" else ()
    assert config.protocol == f"{preset}-v2" if preset in renewed else preset
    validate(config)
    stored = json.loads(json.dumps(config.to_dict()))
    assert presets.from_dict(stored) == config


def test_the_paper_s_table_has_configs():
    datasets, models = configs.TABLE
    for dataset in datasets:
        for model in models:
            assert presets.load(f"{dataset}_{model}").name == f"{dataset}_{model}"


def test_a_file_that_went_says_what_to_type():
    """Other names have no file that shows their values."""
    assert {file.stem for file in FILES} >= {"pendulum_nwm2d", "spring_nwm1d"}
    with pytest.raises(UserError) as error:
        presets.load("configs/spring_cornn.py:smoke")
    assert "--config=spring_cornn is the definition of that name" in str(error.value)


@pytest.mark.slow
def test_every_dataset_goes_with_every_model():
    for dataset in [*suite.DATASETS, *configs.TABLE[0]]:
        for model in configs.MODELS:
            config = presets.load(f"{dataset}_{model}:laptop")
            assert (config.data.name, config.model.name) == (dataset, model)
            assert config.data.dt == suite.get(dataset).dt
            validate(config)
    assert presets.load("pennies_rgn").data.dt == 0.1


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_docstring_says_what_it_is(file):
    text = file.read_text()
    assert "Reproduces: " in text
    assert f"--config=configs/{file.name}:laptop" in text
    known = presets.definitions()[file.stem].presets()
    assert set(re.findall(r"`:(\w+)`", text)) <= set(known)


def test_paper_is_the_papers():
    config = presets.load("pendulum_nwm2d")
    assert config.num_steps == 500_000
    assert config.batch_size == 32
    assert config.optimizer.name == "adam"
    assert config.optimizer.learning_rate == 1.5e-4
    assert config.optimizer.schedule == "constant"
    assert config.optimizer.clip == config.optimizer.weight_decay == 0.0
    assert config.model.to_dict() == {
        "name": "nwm2d",
        "grid": (23, 23),
        "channels": 1,
        "conv_channels": 64,
        "num_observed": 31,
        "num_ic": 31,
        "num_target": 60,
        "decode": "xv",
        "kernel_size": 3,
    }
    data = config.data
    assert (data.num_train, data.num_test, data.num_frames) == (50_000, 20_000, 256)
    assert config.eval.horizon == 60


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("ar", {"num_observed": 5, "num_ic": 0, "units": 250, "layers": 5}),
        (
            "hgn",
            {
                "training": "forward_backward",
                "split": "include_inference",
                "beta": 0.1,
                "integrator": "leapfrog",
                "dt": 0.125,
            },
        ),
        (
            "ode",
            {
                "training": "forward_backward",
                "split": "include_inference",
                "beta": 1.0,
                "integrator": "dopri5",
                "latent": 32,
            },
        ),
        ("lgn", {"training": "forward", "split": "overlap_by_one", "beta": 1.0}),
        ("rgn", {"split": "overlap_by_one", "residual": True}),
        ("hgn_conv", {"num_observed": 31, "num_target": 0, "kappa": 1e-3}),
    ],
)
def test_paper_is_the_paper_s_for_the_other_models(model, fields):
    result = presets.load(f"two_body_{model}").model.to_dict()
    assert result | fields == result


def test_argument():
    config = presets.load(
        "spring_nwm1d:smoke,seed=3,model.grid=(5,7),optimizer.learning_rate=1e-3,"
        "tensorboard=true,data.path=a:b"
    )
    assert config.preset == "smoke"
    assert config.seed == 3
    assert config.model.grid == (5, 7)
    assert config.optimizer.learning_rate == 1e-3
    assert config.tensorboard is True
    assert config.data.path == "a:b"
    assert config.protocol == (
        "smoke + model.grid=(5,7) + optimizer.learning_rate=0.001 + data.path=a:b"
    )


def test_locked():
    config = presets.load("spring_nwm1d")
    config.seed = 5
    with pytest.raises(AttributeError):
        config.sede = 5
    with pytest.raises(TypeError):
        config.seed = "5"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pendulum_nwm2", "unknown config 'pendulum_nwm2'; did you mean"),
        ("", "unknown config ''; choose from DATASET_MODEL, where D"),
        ("configs/pendulum_nwm2d", "unknown config 'configs/pendulum_nwm2d'; did"),
        ("pendulum_nwm2d:lptop", "unknown preset 'lptop'; did you mean 'laptop'?"),
        (
            "pendulum_nwm2d:laptop,sed=3",
            "unknown config field 'sed'; did you mean 'seed'?",
        ),
        ("pendulum_nwm2d:seed=x", "seed takes an integer, not 'x'"),
        ("nowhere/foo.py", "nowhere/foo.py does not exist; among the package's own"),
        (
            "nowhere/spring_nwm1d.py",
            "nowhere/spring_nwm1d.py does not exist; --config=",
        ),
    ],
)
def test_load_refuses(spec, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        presets.load(spec)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1", "file.py does not define get_config(argument)"),
        ("x = \n", "file.py, line 1: SyntaxError: invalid syntax"),
        ("\nimport nothing_here", "file.py, line 2: ModuleNotFoundError: No module"),
        ("def get_config(a):\n    return b", "file.py, line 2: NameError: name 'b'"),
        ("def get_config(a, b):\n    return b", "file.py: TypeError: get_config()"),
        ("def get_config():\n    return 1", "get_config of file.py returned a int;"),
        ("import sys\nsys.exit(3)", "file.py, line 2: SystemExit: 3"),
    ],
)
def test_broken_file(source, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("file.py").write_text(source)
    with pytest.raises(UserError) as error:
        presets.load("file.py")
    assert str(error.value).startswith(message)


def test_own_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("own.py").write_text(
        "from nwm_jax.experiments.forecasting import configs as forecasting\n"
        "GRID = (4, 5)\n"
        "def get_config(argument=''):\n"
        "    config = forecasting.get_config('spring', 'nwm1d', argument)\n"
        "    config.model.grid = GRID\n"
        "    return config\n"
    )
    assert presets.load("own.py:smoke,seed=7").model.grid == (4, 5)
    assert presets.load("./own.py:smoke,seed=7").seed == 7
    with pytest.raises(UserError, match=r"did you mean 'own.py'"):
        presets.load("own:smoke")
    with pytest.raises(UserError, match=r"did you mean 'own.py'"):
        presets.load("owm.py")
    pathlib.Path("plain.py").write_text(
        "from ml_collections import ConfigDict\n"
        "def get_config(): return ConfigDict({'a': 1})\n"
    )
    assert presets.load("plain.py").a == 1
    with pytest.raises(UserError, match="takes no argument"):
        presets.load("plain.py:smoke")


@pytest.mark.parametrize(
    ("dataset", "model", "message"),
    [
        ("pendlum", "nwm2d", "unknown dataset 'pendlum'; did you mean 'pendulum'?"),
        ("spring", "nwm3d", "unknown model 'nwm3d'; did you mean 'nwm2d'?"),
    ],
)
def test_unknown_parts(dataset, model, message):
    with pytest.raises(UserError) as error:
        configs.get_config(dataset, model)
    assert str(error.value).startswith(message[:30])


def test_presets_name_existing_fields_with_their_types():
    for known in presets.definitions().values():
        plain = grammar.flatten(known())
        for fields in known.presets().values():
            assert {field: type(v) for field, v in fields.items()} == {
                field: type(plain[field]) for field in fields
            }


def test_a_config_of_an_earlier_version_gets_the_new_fields():
    config = presets.load("spring_nwm1d:smoke")
    stored = json.loads(json.dumps(config.to_dict()))
    del stored["model"]["decode"], stored["eval"]["num_vpt"], stored["remat"]
    result = presets.from_dict(stored)
    assert result.model == config.model
    assert result.remat == 0
    assert result.eval.num_vpt == 250  # the default, not the preset's
    # Not a guess at what only the run can know.
    del stored["data"]["name"]
    assert "decode" not in presets.from_dict(stored).model
    assert presets.from_dict({"task": "another"}).to_dict() == {"task": "another"}
