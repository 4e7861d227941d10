"""The sweep: what it runs, what it skips, how it ends."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest
from absl import flags
from absl.testing import flagsaver

from launch import sweep
from nwm_jax import presets
from nwm_jax.training import workdir as workdirs

ROOT = pathlib.Path(__file__).parents[2]

# Stands for training: counts to 60 in its workdir, saves where a SIGTERM finds it, and
# writes eval.json at the end. With a number as second argument it fails with that code;
# with names, it waits until they have begun.
FAKE = """
import json, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
print("began", folder.name, flush=True)
if sys.argv[2:] and sys.argv[2].isdigit():
    print("a line", "out of luck", sep="\\n")
    sys.exit(int(sys.argv[2]))
called = []
signal.signal(signal.SIGTERM, lambda *_: called.append(1))
count = folder / "count"
start = int(count.read_text()) if count.exists() else 0
for i in range(start, 60):
    count.write_text(str(i))
    while not all((folder.parent / name).exists() for name in sys.argv[2:]):
        time.sleep(0.005)
    if called:
        sys.exit(0)
    time.sleep(0.001)
with (folder / "runs").open("a") as log:
    log.write(f"from {start}\\n")
(folder / "eval.json").write_text(json.dumps({"step": 60, "protocol": "fake"}))
"""


def job(folder, name, *arguments):
    command = [sys.executable, "-S", "-c", FAKE, str(folder / name), *arguments]
    return sweep.Job(folder / name, command, 60, "fake")


def statuses(outcomes):
    return [outcome.status for outcome in outcomes]


def test_a_failed_run_does_not_stop_the_others(tmp_path, capsys):
    jobs = [job(tmp_path, "a"), job(tmp_path, "b", "3"), job(tmp_path, "c")]
    outcomes = sweep.Runner(jobs).run(1)
    assert statuses(outcomes) == ["finished", "failed", "finished"]
    assert outcomes[1].reason == "exit code 3: out of luck"
    assert (tmp_path / "b.log").read_text() == "began b\na line\nout of luck\n"
    told = sweep.summary(outcomes, 61.0)
    assert "exit code 3: out of luck" in told
    assert str(tmp_path / "b.log") in told
    assert told.endswith("2 finished, 1 failed in 0:01:01")
    assert "[2/3] b: failed" in capsys.readouterr().out
    # The same again: only what is not finished.
    assert statuses(sweep.Runner(jobs).run(1)) == ["skipped", "failed", "skipped"]
    assert (tmp_path / "a" / "runs").read_text() == "from 0\n"
    assert (tmp_path / "b.log").read_text().count("began") == 2


def test_a_run_that_ends_well_without_its_evaluation_has_failed(tmp_path):
    silent = sweep.Job(tmp_path / "a", [sys.executable, "-S", "-c", ""], 60, "fake")
    (outcome,) = sweep.Runner([silent]).run(1)
    assert (outcome.status, outcome.reason) == (
        "failed",
        "exit code 0: it said nothing",
    )


@pytest.mark.parametrize(
    "report", ["", "[]", '{"step": 60}', '{"step": 30, "protocol": "fake"}']
)
def test_another_evaluation_is_not_the_end(report, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "eval.json").write_text(report)
    assert not sweep.is_finished(job(tmp_path, "a"))
    assert statuses(sweep.Runner([job(tmp_path, "a")]).run(1)) == ["finished"]
    assert sweep.is_finished(job(tmp_path, "a"))
    other = job(tmp_path, "a")._replace(protocol="fake + eval.horizon=3")
    assert not sweep.is_finished(other)


def test_runs_at_the_same_time(tmp_path):
    """Each waits for the other: one at a time would never end."""
    jobs = [job(tmp_path, "a", "b"), job(tmp_path, "b", "a")]
    assert statuses(sweep.Runner(jobs).run(2)) == ["finished", "finished"]


def test_stopped_and_resumed(tmp_path):
    jobs = [job(tmp_path, "a"), job(tmp_path, "b", "never"), job(tmp_path, "c")]
    runner, outcomes = sweep.Runner(jobs), []
    thread = threading.Thread(target=lambda: outcomes.extend(runner.run(1)))
    thread.start()
    while not (tmp_path / "b" / "count").exists():
        time.sleep(0.01)
    runner.stop()
    (tmp_path / "never").mkdir()  # it looks for the signal when it has waited
    thread.join()
    assert statuses(outcomes) == ["finished", "stopped", "stopped"]
    assert not (tmp_path / "c").exists()
    assert sweep.summary(outcomes, 1.0).endswith("1 finished, 2 stopped in 0:00:01")
    outcomes = sweep.Runner(jobs).run(1)
    assert statuses(outcomes) == ["skipped", "finished", "finished"]


def test_a_signal_lets_the_runs_save_and_end(tmp_path):
    """The whole program, with other commands: exit codes, summary, no JAX."""
    program = (
        "import pathlib, sys\n"
        "from absl import flags\n"
        "from launch import sweep\n"
        f"command = [sys.executable, '-S', '-c', {FAKE!r}, {str(tmp_path / 'a')!r}]\n"
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
            found = function(*arguments)
            return type("Future", (), {"result": lambda self: found})()

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
    with pytest.raises(ValueError, match="another config .batch_size: 4 -> 8.; take"):
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
    ("stops", "solved", "finished"),
    [(True, 1, True), (True, 0, False), (False, 1, False)],
)
def test_a_run_may_end_when_its_task_is_solved(stops, solved, finished, tmp_path):
    (tmp_path / "a").mkdir()
    report = {"step": 30, "protocol": "fake", "solved": solved}
    (tmp_path / "a" / "eval.json").write_text(json.dumps(report))
    found = job(tmp_path, "a")._replace(stops=stops)
    assert sweep.is_finished(found) == finished


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


def test_slurm_array(tmp_path):
    """The script runs each task's own command, here with a `srun` that runs it."""
    jobs = [job(tmp_path / "a b", name) for name in ("one", "two", "three")]
    script = sweep.slurm_script(jobs)
    assert "#SBATCH --array=0-2\n" in script
    path = tmp_path / "array.sbatch"
    path.write_text(script)
    subprocess.run(["bash", "-n", str(path)], check=True)
    (tmp_path / "srun").write_text('#!/bin/sh\nexec "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_ARRAY_TASK_ID": "1",
    }
    subprocess.run(["bash", str(path)], env=environment, check=True)
    assert [path.name for path in (tmp_path / "a b").iterdir()] == ["two"]
    assert sweep.is_finished(jobs[1])


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
    done = run("-m", "nwm_jax.table", "--runs=runs/*", "--format=csv")
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[1:3] for line in done.stdout.splitlines()[1:]] == [
        ["spring", "hgn"],
        ["spring", "nwm1d"],
    ]
