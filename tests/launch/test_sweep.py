"""The sweep: which runs it makes, what it refuses, how it ends."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
import sweep
from absl import flags
from absl.testing import flagsaver

from nwm_jax.config import presets
from nwm_jax.training import workdir as workdirs
from tests.launch import fake_runs

ROOT = pathlib.Path(__file__).parents[2]


def test_a_signal_lets_the_runs_save_and_end(tmp_path):
    """The whole program, with other commands: exit codes, summary, no JAX."""
    program = (
        "import pathlib, sys\n"
        "from absl import flags\n"
        "sys.path.insert(0, 'launch')\n"
        "import sweep\n"
        f"command = [sys.executable, '-S', '-c', {fake_runs.PROGRAM!r}, {str(tmp_path / 'a')!r}]\n"
        f"job = sweep.Job(pathlib.Path({str(tmp_path / 'a')!r}),"
        " command + sys.argv[1:], 60, 'fake')\n"
        "sweep.plan = lambda overrides: [job]\n"
        "flags.FLAGS(['sweep'])\n"
        "code = sweep.main(['sweep'])\n"
        "assert 'jax' not in sys.modules\n"
        "sys.exit(code)\n"
    )
    options = {"cwd": ROOT, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", program]
    with subprocess.Popen([*command, "never"], **options) as process:
        while not (tmp_path / "a" / "count").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        # The run looks for the signal when it has waited.
        (tmp_path / "never").mkdir()
        out, _ = process.communicate()
    assert process.returncode == 1
    assert out.rstrip().splitlines()[-1].startswith("1 stopped in ")
    done = subprocess.run(command, **options, check=True)
    assert "1 finished in " in done.stdout
    assert (tmp_path / "a" / "runs").read_text() == "from 0\n"


@pytest.fixture
def resolved_here(monkeypatch):
    """Configs are read in this process, which has JAX already."""

    class Here:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, function, *arguments):
            result = function(*arguments)
            return type("Future", (), {"result": lambda self: result})()

    monkeypatch.setattr(sweep.concurrent.futures, "ProcessPoolExecutor", Here)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setattr(sys, "path", list(sys.path))
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["sweep"])
    with flagsaver.flagsaver():
        yield


def test_plan(resolved_here, tmp_path):
    flags.FLAGS(
        [
            *("sweep", "--datasets=spring,two_body_colors", "--models=rgn,nwm1d"),
            *("--seeds=0,5", "--preset=smoke", f"--out={tmp_path}"),
        ]
    )
    jobs = sweep.plan(["batch_size=8", "eval.horizon=10"])
    assert len(jobs) == 8
    assert jobs[1].workdir == tmp_path / "spring_rgn_smoke_5"
    assert jobs[1].command == [
        sys.executable,
        "-m",
        "nwm_jax.train",
        "--config=spring_rgn:smoke,seed=5,batch_size=8,eval.horizon=10",
        f"--workdir={tmp_path}/spring_rgn_smoke_5",
    ]
    assert jobs[1].num_steps == 20
    assert jobs[1].protocol == "smoke + batch_size=8 + eval.horizon=10"
    assert jobs[-1].workdir.name == "two_body_colors_nwm1d_smoke_5"
    # A workdir of another experiment is refused before anything is started.
    config = presets.load("spring_rgn:smoke,seed=5,batch_size=4")
    jobs[1].workdir.mkdir()
    stored = {"config": workdirs.to_dict(config)}
    (jobs[1].workdir / "config.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=r"another config .batch_size: 4 -> 8.; take"):
        sweep.plan(["batch_size=8", "eval.horizon=10"])


def test_grid(resolved_here, tmp_path):
    flags.FLAGS(["sweep", "--grid=copy_wrnn", "--preset=smoke", f"--out={tmp_path}"])
    jobs = sweep.plan(["stop_when_solved=true"])
    assert len(jobs) == 45
    assert len({job.workdir for job in jobs}) == 45
    name = "copy_wrnn_smoke_0_learning_rate_0.0001_T_480_clip_10.0"
    assert jobs[-1].workdir == tmp_path / name
    assert jobs[-1].command[-2] == (
        "--config=copy_wrnn:smoke,seed=0,optimizer.learning_rate=0.0001,data.T=480,"
        "optimizer.clip=10.0,stop_when_solved=true"
    )
    assert jobs[-1].stops
    with pytest.raises(ValueError, match="the grid copy_wrnn has values of T"):
        sweep.plan(["T=3"])


@pytest.mark.parametrize(
    ("arguments", "overrides", "message"),
    [
        (["--models=hgm"], [], "unknown config 'spring_hgm'; did you mean"),
        (["--preset=smok"], [], "unknown preset 'smok'; did you mean 'smoke'?"),
        (["--seeds=x"], [], "seed takes an integer, not 'x'"),
        ([], ["batch_size"], "'batch_size' is not field=value"),
        ([], ["--batch_size=3"], "'--batch_size=3' is not field=value"),
        ([], ["batch_size=0"], "batch_size=0 must be at least 1"),
        (["--models="], [], "nothing to run"),
        (["--grid=copy_wrn"], [], "unknown grid 'copy_wrn'; did you mean 'copy_wrnn'"),
    ],
)
def test_mistakes(arguments, overrides, message, resolved_here):
    flags.FLAGS(["sweep", "--datasets=spring", "--models=hgn", *arguments])
    with pytest.raises(ValueError) as error:
        sweep.plan(overrides)
    assert str(error.value).startswith(message)


@pytest.fixture
def one_run(tmp_path, monkeypatch):
    """A sweep of one run, whose flags can be set."""
    result = [fake_runs.job(tmp_path / "runs", "a")]
    monkeypatch.setattr(sweep, "plan", lambda overrides: result)
    with flagsaver.flagsaver():
        yield result


@pytest.mark.parametrize(
    "arguments",
    [
        ["--out={}/file/x"],
        ["--out={}/file"],
        ["--out={}", "--slurm=/proc/x/y"],
        ["--out={}", "--slurm={}/file/x"],
        ["--out={}", "--slurm={}"],
    ],
)
def test_folders_that_cannot_be_written(arguments, one_run, tmp_path, capsys):
    (tmp_path / "file").touch()
    flags.FLAGS(["sweep", *(text.format(tmp_path) for text in arguments)])
    assert sweep.main(["sweep"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("error: /") and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_script_for_what_is_not_finished(one_run, tmp_path, capsys):
    script = tmp_path / "new" / "array.sbatch"
    flags.FLAGS(["sweep", f"--out={tmp_path}/runs", f"--slurm={script}"])
    assert sweep.main(["sweep"]) == 0
    assert capsys.readouterr().out == f"1 runs: sbatch {script}\n"
    assert f"workdir={tmp_path}/runs/a\n" in script.read_text()
    assert list(script.parent.iterdir()) == [script]
    sweep.Runner(one_run).run(1)
    assert sweep.main(["sweep"]) == 0
    assert "all runs are finished" in capsys.readouterr().out


@pytest.mark.slow
def test_sweep_then_table(tmp_path):
    """Real runs, twice (the second has nothing to do), and the table of them."""
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1"}
    environment["NWM_JAX_CACHE"] = str(tmp_path / "cache")
    environment["PYTHONPATH"] = str(ROOT)

    def run(*command):
        return subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    script = [str(ROOT / "launch" / "sweep.py"), "--datasets=spring", "--preset=smoke"]
    script += ["--models=hgn,nwm1d", "--out=runs", "num_steps=4", "eval.num_windows=4"]
    done = run(*script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 finished in" in done.stdout
    assert "2 skipped in" in run(*script).stdout
    done = run("-m", "nwm_jax.table", "--runs=runs/*", "--format=csv", "--measure=mse")
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[1:3] for line in done.stdout.splitlines()[1:]] == [
        ["spring", "hgn"],
        ["spring", "nwm1d"],
    ]


def test_the_help_shows_the_flags_of_the_sweep_alone():
    done = subprocess.run(
        [sys.executable, "launch/sweep.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    flags = re.findall(r"^  --(\w+)$", done.stdout, re.MULTILINE)
    assert {"datasets", "grid", "jobs", "slurm"} <= set(flags)
    assert "verbosity" not in flags
    assert "absl" not in done.stdout
