"""The recipes of docs/extending.md and the examples, followed as they are written."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from nwm_jax import evaluate, load, plot, table, train
from nwm_jax.config import presets
from nwm_jax.config.fields import field
from nwm_jax.config.validate import validate
from nwm_jax.errors import UserError
from nwm_jax.experiments.forecasting import budgets, configs, datasets, own
from nwm_jax.models import forecasting
from nwm_jax.training import registry
from tests.helpers.verbs import run

ROOT = pathlib.Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text()
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("own_*.py"))}
TINY = (
    "smoke,num_steps=3,checkpoint_every=3,data.num_train=4,data.num_test=4,"
    "model.conv_channels=2,eval.num_windows=2,eval.num_mean_windows=2,eval.num_vpt=2,"
    "eval.batch_size=2"
)


@pytest.fixture
def registered_anew():
    """Forgets what an example has registered."""
    tables = [
        *(configs.MODELS, datasets.OWN, forecasting.BUILDERS),
        *(budgets.BY_MODEL, registry._EXPERIMENTS),
    ]
    before = [dict(table) for table in tables]
    yield
    for known, was in zip(tables, before, strict=True):
        known.clear()
        known.update(was)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_config(name, registered_anew):
    config = presets.load(f"{EXAMPLES[name]}:smoke,seed=3")
    assert validate(config).seed == 3
    assert config.protocol == "smoke"
    assert presets.from_dict(config.to_dict()) == config
    again = presets.load(f"{EXAMPLES[name]}:smoke")  # registers again
    assert again.name == config.name
    if name != "own_task":
        assert presets.load(f"{config.data.name}_{config.model.name}") == presets.load(
            str(EXAMPLES[name])
        )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "own_task" else pytest.mark.slow)
        for name in EXAMPLES
    ],
)
def test_every_verb_takes_an_example(name, registered_anew, tmp_path, capsys):
    file, workdir = EXAMPLES[name], tmp_path / "run"
    tiny = "smoke,num_steps=2,checkpoint_every=2" if name == "own_task" else TINY
    assert run(train, f"--config={file}:{tiny}", f"--workdir={workdir}") == 0
    again = f"--config={file}"
    assert run(evaluate, again, f"--workdir={workdir}") == 0
    assert run(plot, again, f"--workdir={workdir}") == 0
    capsys.readouterr()
    assert run(table, again, f"--runs={workdir}") == 0
    config = presets.load(f"{file}:smoke")
    out = capsys.readouterr().out
    assert config.data.name in out or config.name in out
    assert load(workdir, config=file) is not None


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_workdir_without_its_file_is_one_line(
    name, registered_anew, tmp_path, capsys
):
    config = presets.load(f"{EXAMPLES[name]}:smoke")
    (tmp_path / "config.json").write_text(
        config.to_json_best_effort().join(['{"config": ', "}"])
    )
    if name != "own_task":
        configs.MODELS.pop("minimal_gated", None)
        configs.MODELS.pop("extrapolator", None)
        datasets.OWN.clear()
    else:
        del registry._EXPERIMENTS["denoising"]
    assert run(evaluate, f"--workdir={tmp_path}") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "--config=FILE" in err
    with pytest.raises(UserError, match="config=FILE"):
        load(tmp_path)


def test_fields_of_your_own_model_have_meanings_and_ranges(registered_anew):
    fields = {
        "num_observed": 3,
        "num_target": 6,
        "units": 8,
        "mine": 1,
        "rate": field(0.5, "how fast it forgets", above=0),
    }
    own.register_model("forgetful", fields, lambda *_, **__: None)
    config = presets.load("spring_forgetful")
    assert validate(config).model.rate == 0.5
    meanings = presets.definition(config).plain.meanings()
    assert meanings["model.rate"].meaning == "how fast it forgets"
    assert meanings["model.units"].meaning == "width of the hidden layers"
    for wrong in ("rate=0", "units=0", "num_observed=0"):
        with pytest.raises(UserError, match=f"model.{wrong}"):
            validate(presets.load(f"spring_forgetful:model.{wrong}"))


def test_names_of_the_package_are_not_taken():
    for register, name in (
        (lambda n: forecasting_register(n), "nwm2d"),
        (lambda n: dataset_register(n), "spring"),
    ):
        with pytest.raises(UserError, match="take another name"):
            register(name)


def test_a_source_of_the_old_kind_names_the_new_methods(monkeypatch):
    from nwm_jax.config import presets
    from nwm_jax.experiments.forecasting import datasets

    class Old:
        size = windows = images = states = None

    own = datasets.Own(dt=0.1, read=lambda **fields: Old())
    monkeypatch.setitem(datasets.OWN, "old", own)
    config = presets.load("pendulum_nwm2d:smoke")
    config.data.name = "old"
    with pytest.raises(
        UserError, match=r"data.name=old.* Old, has no method read.*windows"
    ):
        datasets.read(config.data)


def forecasting_register(name):
    from nwm_jax.experiments.forecasting import register_model

    register_model(name, {"num_observed": 1, "num_target": 2}, lambda: None)


def dataset_register(name):
    from nwm_jax.experiments.forecasting import register_dataset

    register_dataset(name, 0.1, lambda: None)


def recipes():
    """Heading, and the (file, kind, code) of every block below it."""
    for part in PAGE.split("\n### ")[1:]:
        heading = part.partition("\n")[0]
        blocks, file = [], None
        for match in re.finditer(
            r"^`(\S+?)`[,:]|```(\w+)\n(.*?)```", part, re.MULTILINE | re.DOTALL
        ):
            file = match[1] or file
            if match[2] in ("python", "diff"):
                blocks.append((file, match[2], match[3]))
        yield heading, blocks


def follow(root, blocks):
    """Applies the blocks of a recipe; the existing files that it touches."""
    touched = set()
    for file, kind, code in blocks:
        path = root / file
        if kind == "python":
            assert not path.exists()
            path.write_text(code)
            continue
        context, *added = code.splitlines()
        text = path.read_text()
        assert text.count(f"{context[1:]}\n") == 1, f"{file}: {context}"
        new = "".join(f"{line[1:]}\n" for line in added)
        path.write_text(text.replace(f"{context[1:]}\n", f"{context[1:]}\n{new}"))
        touched.add(file)
    return touched


@pytest.mark.slow
def test_the_recipes(tmp_path):
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "nwm_jax", tmp_path / "nwm_jax", ignore=ignore)
    denoising = tmp_path / "nwm_jax" / "experiments" / "denoising"
    denoising.mkdir()
    lines = EXAMPLES["own_task"].read_text().rstrip().splitlines()
    (denoising / "__init__.py").write_text("\n".join(lines[:-1]) + "\n")
    counts = []
    for heading, blocks in recipes():
        touched = follow(tmp_path, blocks)
        if said := re.search(r": (\d) files? beside", heading):
            assert len(touched) == int(said[1]), heading
            counts.append(len(touched))
    assert len(counts) == 7
    assert max(counts) <= 2
    program = f"""
import jax, pathlib, nwm_jax, nwm_jax.experiments
assert str(pathlib.Path(nwm_jax.__file__).parents[1]) == {str(tmp_path)!r}
from nwm_jax.config import presets
from nwm_jax.config.validate import validate
from nwm_jax.modules import functional
from nwm_jax.training.registry import build
small = ":smoke,data.num_train=4,data.num_test=4,model.conv_channels=2,"
small += "data.cache_dir={tmp_path}/cache"
for spec in (
    "duffing_leaky" + small,
    "denoising:smoke",
    "smnist_leaky:smoke",
    "discs_shallow:smoke,data.cache_dir={tmp_path}/cache",
):
    task = build(validate(presets.load(spec)))
    batch = task.batch(0, slice(None))
    def loss(key):
        _, params, state = functional.split(task.init(key))
        return task.loss(params, state, batch, key)[0]
    assert jax.eval_shape(loss, jax.random.key(0)).shape == ()
    if "duffing" in spec:
        assert list(task.evaluations(["brightness"])) == ["brightness"]
    if "smnist" in spec:
        assert "waves" in task.evaluations()  # also of a cell without hparams
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr[-2000:]
