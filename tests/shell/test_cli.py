"""The shell of the verbs: one line for every mistake, exit code 2, no traceback."""

import errno
import os
import pathlib
import subprocess
import sys

import jax
import pytest
from absl import flags

from nwm_jax.errors import UserError
from nwm_jax.shell import cli

GOOD = ["--config=pendulum_nwm2d:smoke", "--workdir=w"]

VERB = '''"""Trains nothing.

Says the batch size.
"""

from absl import flags

from nwm_jax.shell import cli

FLAGS = flags.FlagValues()
CONFIG = cli.config_flag(FLAGS)


def main(argv):
    if CONFIG.value.seed == 7:
        raise RuntimeError("a real bug")
    print(CONFIG.value.batch_size)


if __name__ == "__main__":
    cli.run(main, FLAGS)
'''


def run(arguments, action=lambda config: None, **kwargs):
    """Runs a small verb in this process; returns (exit code, what main saw)."""
    values = flags.FlagValues()
    config = cli.config_flag(values)
    flags.DEFINE_string("workdir", None, "folder", required=True, flag_values=values)
    flags.DEFINE_integer("num", 3, "number", lower_bound=1, flag_values=values)
    flags.DEFINE_float("share", 0.5, "number", flag_values=values)
    flags.DEFINE_bool("dry", False, "boolean", flag_values=values)
    flags.DEFINE_enum("which", "best", ["best", "last"], "which", flag_values=values)
    seen = {}

    def main(argv):
        seen.update(config=config.value, argv=argv)
        return action(config.value)

    with pytest.raises(SystemExit) as end:
        cli.run(main, values, argv=["verb", *arguments], **kwargs)
    return end.value.code, seen


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        # flags
        ([], "--config is required"),
        (GOOD[:1], "--workdir is required"),
        (
            ["--config=pendulum_nwm2d:smoke", "--workdir"],
            "missing value for flag --workdir",
        ),
        (["--config"], "missing value for flag --config"),
        ([*GOOD, "--workdr=x"], "unknown flag --workdr; did you mean '--workdir'?"),
        ([*GOOD, "--conifg=x"], "unknown flag --conifg; did you mean '--config'?"),
        (
            [*GOOD, "--batch_size=3"],
            "unknown flag --batch_size; did you mean '--config.batch_size'?",
        ),
        (
            [*GOOD, "--learning_rate=3"],
            (
                "unknown flag --learning_rate; did you mean "
                "'--config.optimizer.learning_rate'?"
            ),
        ),
        (
            [*GOOD, "--zzz"],
            (
                "unknown flag --zzz; choose from --config, --dry, --num, --share, "
                "--which, --workdir"
            ),
        ),
        ([*GOOD, "--num=0"], "--num=0: 0 is not a positive integer"),
        ([*GOOD, "--num=abc"], "--num=abc: 'abc' is not an integer"),
        ([*GOOD, "--share=abc"], "--share=abc: 'abc' is not a number"),
        ([*GOOD, "--which=worst"], "--which=worst: value should be one of <best|last>"),
        (
            [*GOOD, "smoke"],
            "unexpected argument 'smoke'; flags are written --name=value",
        ),
        # the config's name and argument
        (
            ["--config=pendulum_nwm2", "--workdir=w"],
            "unknown config 'pendulum_nwm2'; did you mean 'pendulum_nwm2d'?",
        ),
        (
            ["--config=nowhere/pendulum_nwm2d.py", "--workdir=w"],
            (
                "nowhere/pendulum_nwm2d.py does not exist; --config=pendulum_nwm2d is the "
                "definition of that name inside the package"
            ),
        ),
        (
            ["--config=pendulum_nwm2d:smok", "--workdir=w"],
            "unknown preset 'smok'; did you mean 'smoke'?",
        ),
        (
            ["--config=pendulum_nwm2d:seed=1,smoke", "--workdir=w"],
            (
                "'smoke' in the config's argument 'seed=1,smoke' is not key=value (only a "
                "preset, in the first place, stands without '=')"
            ),
        ),
        (
            ["--config=pendulum_nwm2d:model.grid=(5,5", "--workdir=w"],
            "a bracket or quote in 'model.grid=(5,5' is not closed",
        ),
        # overrides
        (
            [*GOOD, "--config.model.gird=(5,5)"],
            "unknown config field 'model.gird'; did you mean 'model.grid'?",
        ),
        (
            [*GOOD, "--config.learning_rate=1e-3"],
            (
                "unknown config field 'learning_rate'; did you mean "
                "'optimizer.learning_rate'?"
            ),
        ),
        (
            [*GOOD, "--config.optimizer.lr=1e-3"],
            (
                "unknown config field 'optimizer.lr'; choose from optimizer.clip, "
                "optimizer.drop_every, optimizer.drop_factor, "
                "optimizer.learning_rate, optimizer.momentum, "
                "optimizer.name, optimizer.schedule, "
                "optimizer.warmup_steps, optimizer.weight_decay"
            ),
        ),
        ([*GOOD, "--config.batch_size=3.5"], "batch_size takes an integer, not '3.5'"),
        ([*GOOD, "--config.batch_size="], "batch_size takes an integer, not ''"),
        (
            [*GOOD, "--config.batch_size"],
            "batch_size takes an integer; write batch_size=value",
        ),
        (
            [*GOOD, "--config.tensorboard=maybe"],
            "tensorboard takes true or false, not 'maybe'",
        ),
        ([*GOOD, "--noconfig.batch_size"], "batch_size takes an integer, not 'false'"),
        (
            [*GOOD, "--noconfig.tensorboard=true"],
            "--noconfig.tensorboard takes no value",
        ),
        (
            [*GOOD, "--config.model.grid=five"],
            "model.grid takes a tuple such as (5,5), not 'five'",
        ),
        (
            [*GOOD, "--config.optimizer=adam"],
            (
                "optimizer is a group of fields; set one of optimizer.clip, "
                "optimizer.drop_every, optimizer.drop_factor, "
                "optimizer.learning_rate, optimizer.momentum, "
                "optimizer.name, optimizer.schedule, "
                "optimizer.warmup_steps, optimizer.weight_decay"
            ),
        ),
        # ranges
        ([*GOOD, "--config.batch_size=-4"], "batch_size=-4 must be at least 1"),
        ([*GOOD, "--config.num_steps=0"], "num_steps=0 must be at least 1"),
        (
            [*GOOD, "--config.optimizer.learning_rate=nan"],
            "optimizer.learning_rate=nan must be a finite number above 0",
        ),
        (
            [*GOOD, "--config.model.name=nwm"],
            "unknown model.name 'nwm'; did you mean 'nwm2d'?",
        ),
        (
            [*GOOD, "--config.eval.horizon=60"],
            (
                "evaluation needs model.num_target + eval.horizon = 72 frames, but "
                "data.num_frames=64"
            ),
        ),
    ],
)
def test_mistakes(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, seen = run(arguments)
    out, err = capsys.readouterr()
    assert err == f"error: {message}\n"
    assert (code, out, seen) == (2, "", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "dt"), [([], 0.1), (["--config.data.dt=0.05"], 0.05)]
)
def test_another_dataset_brings_its_dt_unless_one_is_given(given, dt):
    code, seen = run([*GOOD, *given, "--config.data.name=pennies"])
    assert code is None
    assert (seen["config"].name, seen["config"].data.dt) == ("pennies_nwm2d", dt)


def test_overrides_in_every_spelling():
    code, seen = run(
        [
            "--config.batch_size=9",
            "--config",
            "pendulum_nwm2d:smoke,seed=1",
            "--workdir=w",
            "-config.seed",
            "2",
            "--config.optimizer.learning_rate",
            "1e-3",
            "--config.model.grid=5,7",
            "--config.data.cache_dir=",
            "--config.batch_size=8",
            "--config.tensorboard",
        ]
    )
    assert code is None
    config = seen["config"]
    assert (config.batch_size, config.seed, config.model.grid) == (8, 2, (5, 7))
    assert config.optimizer.learning_rate == 1e-3
    assert config.tensorboard is True
    assert config.protocol == (
        "smoke + optimizer.learning_rate=0.001 + model.grid=(5,7) + batch_size=8"
    )
    for argument in ("--noconfig.tensorboard", "--config.tensorboard=false"):
        _, seen = run(
            ["--config=pendulum_nwm2d:tensorboard=1", "--workdir=w", argument]
        )
        assert seen["config"].tensorboard is False


def test_positional_arguments_where_they_are_welcome():
    _, seen = run([*GOOD, "train", "--", "--config.seed=x"], positional=True)
    assert seen["argv"] == ["verb", "train", "--config.seed=x"]


def test_config_may_be_optional(capsys):
    values = flags.FlagValues()
    config = cli.config_flag(values, required=False)
    assert cli.parse(["verb"], values) == ["verb"]
    assert config.value is None
    with pytest.raises(UserError, match=r"--config.seed needs --config=..."):
        cli.parse(["verb", "--config.seed=3"], values)


def raising(error):
    def action(config):
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("two\n  lines"), 2, "error: two lines\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/data/runs"),
            2,
            "error: /data/runs: Permission denied\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            2,
            "error: writing: No space left on device\n",
        ),
    ],
)
def test_errors_of_the_user_and_the_machine(error, code, line, capsys):
    assert run(GOOD, raising(error))[0] == code
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), FileNotFoundError(errno.ENOENT, "x"), AttributeError("x")],
)
def test_bugs_pass_through(error):
    values = flags.FlagValues()
    with pytest.raises(type(error)):
        cli.run(lambda argv: raising(error)(None), values, argv=["verb"])


def test_exit_code_of_main():
    assert run(GOOD, lambda config: 3)[0] == 3


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull"])
def test_help(flag, capsys):
    code, seen = run(["--config=spring_nwm1d:smoke", flag])
    out = capsys.readouterr().out
    assert (code, seen) == (0, {})
    assert out.startswith("usage: ")
    assert __doc__ in out
    assert "--workdir\n      folder\n" in out
    assert "fields of spring_nwm1d:smoke, each set by --config.field=value:" in out
    assert "presets of spring_nwm1d:smoke: paper, laptop, smoke" in out
    assert "  optimizer.clip = 0.1  (global norm of the gradient; 0: off)" in out
    assert "  model.grid = (6, 6)  (oscillators" in out


def subprocess_run(tmp_path, *arguments, **environment):
    script = tmp_path / "verb.py"
    script.write_text(VERB)
    root = pathlib.Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_as_a_process(tmp_path):
    good = subprocess_run(tmp_path, "--config=pendulum_nwm2d:smoke")
    assert (good.returncode, good.stdout, good.stderr) == (0, "4\n", "")
    bad = subprocess_run(tmp_path, "--config=pendulum_nwm2d:smoke", "--config.sed=3")
    assert (bad.returncode, bad.stdout, bad.stderr) == (
        2,
        "",
        "error: unknown config field 'sed'; did you mean 'seed'?\n",
    )
    bug = subprocess_run(tmp_path, "--config=pendulum_nwm2d:seed=7")
    assert bug.returncode == 1
    assert "Traceback" in bug.stderr
    assert "RuntimeError: a real bug" in bug.stderr


@pytest.fixture
def no_compilation_cache(monkeypatch):
    """JAX as it is where nobody has set a cache."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", raising=False)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


def test_compilation_cache(tmp_path, monkeypatch, no_compilation_cache):
    monkeypatch.setenv("NWM_JAX_CACHE", str(tmp_path / "cache"))
    assert cli.enable_compilation_cache() == tmp_path / "cache" / "jax"
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "cache" / "jax")
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0.3
    assert list((tmp_path / "cache" / "jax").iterdir()) == []
    monkeypatch.setenv("NWM_JAX_CACHE", str(tmp_path / "other"))
    assert cli.enable_compilation_cache() is None, "what is set already stays"


def test_compilation_cache_that_cannot_be_written(
    tmp_path, monkeypatch, no_compilation_cache
):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "cache", "/proc/nowhere"):
        monkeypatch.setenv("NWM_JAX_CACHE", str(folder))
        assert cli.enable_compilation_cache() is None
        assert not jax.config.jax_compilation_cache_dir
    monkeypatch.delenv("NWM_JAX_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    expected = tmp_path / "home" / ".cache" / "nwm_jax" / "jax"
    assert cli.enable_compilation_cache() == expected
