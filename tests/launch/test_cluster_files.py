"""The scripts for clusters: syntax, what they start, and what they do at the end."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml

from nwm_jax import files
from nwm_jax.config import presets

LAUNCH = pathlib.Path(__file__).parents[2] / "launch"
SCRIPTS = [*LAUNCH.glob("*.sh"), *LAUNCH.glob("*.sbatch")]


@pytest.fixture
def cluster(tmp_path):
    """A folder of stand-ins for the cluster's commands; they log how they are called.

    Returns `run(script, *arguments, **environment) -> (code, stderr, calls)`.
    """
    commands, log = tmp_path / "commands", tmp_path / "calls"
    commands.mkdir()
    log.touch()
    for name in ("srun", "scontrol", "nvidia-smi"):
        stand_in = commands / name
        stand_in.write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n')
        stand_in.chmod(0o755)
    (commands / "nvidia-smi").unlink()
    python = commands / "python"
    python.write_text(
        f'#!/bin/sh\ncase "$1" in -c) exec {sys.executable} "$@";; esac\n'
        "trap 'kill $!; exit 0' TERM\n"
        f'echo "$JAX_PROCESS_ID of $JAX_NUM_PROCESSES at $JAX_COORDINATOR_ADDRESS: $*" '
        f">> {log}\n"
        'case "$*" in *wait*) sleep 30 & wait;; esac\n'
        '[ "$JAX_PROCESS_ID" != "$FAILS" ] || exit 3\n'
    )
    python.chmod(0o755)

    def start(script, *arguments, **environment):
        return subprocess.Popen(
            ["bash", str(LAUNCH / script), *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "PATH": f"{commands}:{os.environ['PATH']}",
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(script, *arguments, **environment):
        process = start(script, *arguments, **environment)
        _, err = process.communicate(timeout=60)
        calls = log.read_text().splitlines()
        log.write_text("")
        return process.returncode, err, calls

    run.start, run.log = start, log
    return run


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_reads_it(script):
    subprocess.run(["bash", "-n", script], check=True)
    assert script.read_text().startswith("#!/usr/bin/env bash\n")


def test_local_starts_one_process_per_rank(cluster):
    code, err, calls = cluster("local.sh", "3", "--config=c", "--workdir=w")
    assert code == 0 and err == ""
    matches = [re.fullmatch(r"(\d) of 3 at (\S+): (.*)", call) for call in calls]
    assert sorted(match[1] for match in matches) == ["0", "1", "2"]
    (address,) = {match[2] for match in matches}
    assert re.fullmatch(r"127\.0\.0\.1:\d+", address)
    assert {match[3] for match in matches} == {
        "-m nwm_jax.train --config=c --workdir=w"
    }


def test_local_reports_the_process_that_failed(cluster):
    code, err, _ = cluster("local.sh", "2", "--config=c", FAILS="1")
    assert code == 3 and err.startswith("process 1 ended with code 3; ")


@pytest.mark.parametrize("arguments", [(), ("2",), ("0", "--config=c"), ("two", "x")])
def test_local_says_how_it_is_used(cluster, arguments):
    code, err, calls = cluster("local.sh", *arguments)
    assert code == 2 and not calls
    assert err.startswith("usage: ") and err.count("\n") == 1


def test_local_passes_on_a_signal_and_waits(cluster):
    process = cluster.start("local.sh", "2", "--config=wait")
    deadline = time.monotonic() + 30
    while len(cluster.log.read_text().splitlines()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0


def ends_with(tmp_path, workdir, writes):
    """Lets `srun` write eval.json in a workdir that has one of fewer steps already."""
    files.write_json(workdir / "eval.json", {"step": 2})
    os.utime(workdir / "eval.json", (1e9, 1e9))
    if writes:
        with (tmp_path / "commands" / "srun").open("a") as stand_in:
            stand_in.write(f"sleep 0.05\necho {{}} > {workdir}/eval.json\n")


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("finished", [False, True])
def test_slurm_trains_and_goes_on_if_it_ended_early(cluster, tmp_path, finished, slash):
    ends_with(tmp_path, tmp_path / "runs" / "one", finished)
    workdir = f"{tmp_path}/runs/one{slash}"
    code, err, calls = cluster(
        "slurm.sbatch", "c.py:laptop", workdir, "--config.seed=1", SLURM_JOB_ID="7"
    )
    assert code == 0 and err == ""
    assert calls[0] == (
        "srun --kill-on-bad-exit=1 python -m nwm_jax.train --config=c.py:laptop "
        f"--workdir={workdir} --config.seed=1"
    )
    assert calls[1:] == ([] if finished else ["scontrol requeue 7"])
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["one"]


@pytest.mark.parametrize("finished", [False, True])
def test_the_array_goes_on_with_a_run_that_ended_early(cluster, tmp_path, finished):
    ends_with(tmp_path, tmp_path / "runs" / "table" / "spring_ar_smoke_3", finished)
    numbers = {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_JOB_ID": "5"}
    code, err, calls = cluster("slurm_array.sbatch", "smoke", "3", **numbers)
    assert code == 0 and err == ""
    assert calls[1:] == ([] if finished else ["scontrol requeue 5_0"])


@pytest.mark.parametrize(
    ("ends", "code", "requeued"),
    [
        ("exit $NWM_JAX_PREEMPTED_EXIT", 0, True),
        ("exit 143", 0, True),  # before Python heard the signal
        ("exit 2", 2, False),
        ("exit 1", 1, False),
    ],
)
@pytest.mark.parametrize(
    ("script", "arguments"),
    [("slurm.sbatch", ("c.py", "runs/one")), ("slurm_array.sbatch", ("smoke", "3"))],
)
def test_slurm_requeues_what_a_signal_ended_and_nothing_else(
    script, arguments, ends, code, requeued, cluster, tmp_path
):
    with (tmp_path / "commands" / "srun").open("a") as stand_in:
        stand_in.write(f"{ends}\n")
    numbers = {"SLURM_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "0"}
    ended, err, calls = cluster(script, *arguments, **numbers, SLURM_ARRAY_JOB_ID="5")
    assert (ended, err) == (code, "")
    assert any(call.startswith("scontrol requeue 5") for call in calls) == requeued


def test_slurm_asks_for_its_arguments(cluster):
    code, err, calls = cluster("slurm.sbatch", SLURM_JOB_ID="7")
    assert code != 0 and "usage: sbatch" in err and not calls


def test_slurm_array_trains_every_cell_of_the_table(cluster):
    cells = set()
    for index in range(30):
        code, err, calls = cluster(
            "slurm_array.sbatch",
            "smoke",
            "3",
            SLURM_ARRAY_TASK_ID=str(index),
            SLURM_ARRAY_JOB_ID="5",
        )
        assert code == 0 and err == ""
        name, workdir = re.search(
            r"--config=(\S+):smoke,seed=3 --workdir=(\S+)", calls[0]
        ).groups()
        assert name in presets.definitions()
        assert calls[1] == f"scontrol requeue 5_{index}"
        cells.add((name, workdir))
    assert len(cells) == 30
    text = (LAUNCH / "slurm_array.sbatch").read_text()
    assert "#SBATCH --array=0-29\n" in text


@pytest.mark.parametrize("script", ["slurm.sbatch", "slurm_array.sbatch"])
def test_slurm_warns_before_the_time_is_over(script):
    lines = (LAUNCH / script).read_text().splitlines()
    options = dict(
        line.removeprefix("#SBATCH ").split("=", 1)
        for line in lines
        if line.startswith("#SBATCH --") and "=" in line
    )
    assert options["--signal"] == "TERM@120"  # to the tasks, not to this script
    assert "#SBATCH --requeue" in lines
    assert options["--open-mode"] == "append"
    assert "--gpus-per-task" not in options


def test_kubernetes_pods_agree_on_their_number_and_find_the_first():
    manifest = yaml.safe_load((LAUNCH / "k8s" / "jobset.yaml").read_text())
    volume = yaml.safe_load((LAUNCH / "k8s" / "volume.yaml").read_text())
    assert manifest["kind"] == "JobSet"
    name = manifest["metadata"]["name"]
    (group,) = manifest["spec"]["replicatedJobs"]
    job = group["template"]["spec"]
    assert job["completionMode"] == "Indexed"
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry for entry in container["env"]}
    number = int(environment["JAX_NUM_PROCESSES"]["value"])
    assert job["parallelism"] == job["completions"] == number
    host, port = environment["JAX_COORDINATOR_ADDRESS"]["value"].split(":")
    assert host == f"{name}-{group['name']}-0-0.{name}"
    assert container["ports"] == [{"containerPort": int(port)}]
    index = environment["JAX_PROCESS_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert index == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    claims = {v["name"]: v for v in pod["volumes"]}
    claim = claims["runs"]["persistentVolumeClaim"]["claimName"]
    assert claim == volume["metadata"]["name"]
    assert volume["spec"]["accessModes"] == ["ReadWriteMany"]
    assert pod["terminationGracePeriodSeconds"] >= 60
    assert {m["name"] for m in container["volumeMounts"]} == set(claims)


@pytest.mark.parametrize(
    ("number", "does", "code"),
    [
        ("0", 'echo {} > "$WORKDIR/eval.json"', 0),
        ("0", "exit 0", 1),  # ended early: the pod fails and is started anew
        ("1", "exit 0", 0),  # the first one judges
        ("0", "exit 2", 2),
        ("0", "trap 'kill $!; exit 0' TERM; kill -TERM $PPID; sleep 30 & wait", 1),
    ],
)
def test_a_pod_fails_unless_its_run_is_finished(number, does, code, tmp_path):
    manifest = yaml.safe_load((LAUNCH / "k8s" / "jobset.yaml").read_text())
    pod = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {e["name"]: e["value"] for e in container["env"] if "value" in e}
    assert variables["NWM_JAX_PREEMPTED_EXIT"] == "0"
    python = tmp_path / "python"
    python.write_text(f'#!/bin/bash\nmkdir -p "$WORKDIR"; sleep 0.05\n{does}\n')
    python.chmod(0o755)
    done = subprocess.run(
        [*container["command"], *container["args"]],
        env={
            **variables,
            "JAX_PROCESS_ID": number,
            "WORKDIR": str(tmp_path / "runs" / "one"),
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode != 0) == (code != 0), done.stderr
    assert code != 2 or done.returncode == 2
