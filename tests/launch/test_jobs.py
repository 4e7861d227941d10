"""The runs of a sweep: what runs, what is skipped, how it ends."""

import json
import sys
import threading
import time

import jobs
import pytest

from tests.launch import fake_runs


def statuses(outcomes):
    return [outcome.status for outcome in outcomes]


def test_a_failed_run_does_not_stop_the_others(tmp_path, capsys):
    todo = [
        fake_runs.job(tmp_path, "a"),
        fake_runs.job(tmp_path, "b", "3"),
        fake_runs.job(tmp_path, "c"),
    ]
    outcomes = jobs.Runner(todo).run(1)
    assert statuses(outcomes) == ["finished", "failed", "finished"]
    assert outcomes[1].reason == "exit code 3: out of luck"
    assert (tmp_path / "b.log").read_text() == "began b\na line\nout of luck\n"
    text = jobs.summary(outcomes, 61.0)
    assert "exit code 3: out of luck" in text
    assert str(tmp_path / "b.log") in text
    assert text.endswith("2 finished, 1 failed in 0:01:01")
    assert "[2/3] b: failed" in capsys.readouterr().out
    # The same again: only what is not finished.
    assert statuses(jobs.Runner(todo).run(1)) == ["skipped", "failed", "skipped"]
    assert (tmp_path / "a" / "runs").read_text() == "from 0\n"
    assert (tmp_path / "b.log").read_text().count("began") == 2


def test_a_run_that_ends_well_without_its_evaluation_has_failed(tmp_path):
    silent = jobs.Job(tmp_path / "a", [sys.executable, "-S", "-c", ""], 60, "fake")
    (outcome,) = jobs.Runner([silent]).run(1)
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
    assert not jobs.is_finished(fake_runs.job(tmp_path, "a"))
    assert statuses(jobs.Runner([fake_runs.job(tmp_path, "a")]).run(1)) == ["finished"]
    assert jobs.is_finished(fake_runs.job(tmp_path, "a"))
    other = fake_runs.job(tmp_path, "a")._replace(protocol="fake + eval.horizon=3")
    assert not jobs.is_finished(other)


def test_runs_at_the_same_time(tmp_path):
    """Each waits for the other: one at a time would never end."""
    todo = [fake_runs.job(tmp_path, "a", "b"), fake_runs.job(tmp_path, "b", "a")]
    assert statuses(jobs.Runner(todo).run(2)) == ["finished", "finished"]


def test_stopped_and_resumed(tmp_path):
    todo = [
        fake_runs.job(tmp_path, "a"),
        fake_runs.job(tmp_path, "b", "never"),
        fake_runs.job(tmp_path, "c"),
    ]
    runner, outcomes = jobs.Runner(todo), []
    thread = threading.Thread(target=lambda: outcomes.extend(runner.run(1)))
    thread.start()
    while not (tmp_path / "b" / "count").exists():
        time.sleep(0.01)
    runner.stop()
    (tmp_path / "never").mkdir()  # it looks for the signal when it has waited
    thread.join()
    assert statuses(outcomes) == ["finished", "stopped", "stopped"]
    assert not (tmp_path / "c").exists()
    assert jobs.summary(outcomes, 1.0).endswith("1 finished, 2 stopped in 0:00:01")
    outcomes = jobs.Runner(todo).run(1)
    assert statuses(outcomes) == ["skipped", "finished", "finished"]


@pytest.mark.parametrize(
    ("stops", "solved", "finished"),
    [(True, 1, True), (True, 0, False), (False, 1, False)],
)
def test_a_run_may_end_when_its_task_is_solved(stops, solved, finished, tmp_path):
    (tmp_path / "a").mkdir()
    report = {"step": 30, "protocol": "fake", "name": "", "seed": 0, "solved": solved}
    (tmp_path / "a" / "eval.json").write_text(json.dumps(report))
    result = fake_runs.job(tmp_path, "a")._replace(stops=stops)
    assert jobs.is_finished(result) == finished


def test_a_run_that_the_machine_does_not_let_start_has_failed(tmp_path, capsys):
    (tmp_path / "file").touch()
    nowhere = fake_runs.job(tmp_path / "file", "a")
    missing = jobs.Job(tmp_path / "b", [str(tmp_path / "python")], 60, "fake")
    todo = [nowhere, missing, fake_runs.job(tmp_path, "c")]
    outcomes = jobs.Runner(todo).run(1)
    assert statuses(outcomes) == ["failed", "failed", "finished"]
    assert "File exists" in outcomes[0].reason
    assert "No such file or directory" in outcomes[1].reason
    assert "[1/3] a: failed" in capsys.readouterr().out


def scored(folder, **fields):
    """A folder with an evaluation of the fake job's last step."""
    folder.mkdir(parents=True, exist_ok=True)
    report = {"step": 60, "protocol": "fake", "name": "x", "seed": 3} | fields
    (folder / "eval.json").write_text(json.dumps(report))
    return folder


def test_results_that_are_kept_need_not_be_repeated(tmp_path):
    result = fake_runs.job(tmp_path, "a")._replace(
        name="x", seed=3, protocol="fake + k=1", command=["false"]
    )
    scored(result.workdir, protocol="fake + k=1")
    (result.workdir / "config.json").write_text(
        '{"command_line": "python --workdir=w"}'
    )
    (result.workdir / "metrics.jsonl").write_text("{}\n")
    (result.workdir / "weights").write_text("large")
    kept = tmp_path / "kept"
    (outcome,) = jobs.Runner([result], keep=kept).run(1)
    assert (outcome.status, outcome.reason) == ("skipped", "")
    folder = kept / "fake+k=1" / "x-3"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("config.json", "eval.json", "metrics.jsonl")
    ]
    # On another machine the workdir is not there.
    again = result._replace(workdir=tmp_path / "b")
    assert statuses(jobs.Runner([again], done=[kept, folder]).run(1)) == ["skipped"]
    other = again._replace(seed=4)
    assert statuses(jobs.Runner([other], done=[kept, folder]).run(1)) == ["failed"]


def test_what_is_wrong_with_kept_results_is_said(tmp_path):
    result = fake_runs.job(tmp_path, "a")._replace(name="x", seed=3)
    scored(result.workdir)
    assert jobs.keep(result, tmp_path / "kept") == ""
    (result.workdir / "metrics.jsonl").write_text("x" * 60_001)
    assert jobs.keep(result, tmp_path / "kept").endswith(" bytes")
    config = '{"config": {"data": {"path": "/home/me/clips"}}}'
    (result.workdir / "config.json").write_text(config)
    assert "names folders of this machine" in jobs.keep(result, tmp_path / "kept")


def test_a_run_that_diverged_is_an_end(tmp_path):
    """It exits with an error, but to repeat it would be of no use."""
    report = {"step": 7, "protocol": "fake", "name": "", "seed": 0, "diverged": {}}
    program = (
        "import json, pathlib, sys\n"
        f"pathlib.Path({str(tmp_path / 'a')!r}).mkdir()\n"
        f"text = json.dumps({report!r})\n"
        f"pathlib.Path({str(tmp_path / 'a' / 'eval.json')!r}).write_text(text)\n"
        "sys.exit(2)\n"
    )
    command = [sys.executable, "-S", "-c", program]
    result = fake_runs.job(tmp_path, "a")._replace(command=command)
    assert statuses(jobs.Runner([result]).run(1)) == ["diverged"]
    assert statuses(jobs.Runner([result]).run(1)) == ["skipped"]


def test_a_run_is_validated_once_it_is_trained(tmp_path):
    written = (
        "import json, pathlib, sys\n"
        "report = {'step': 60, 'protocol': 'fake', 'name': '', 'seed': 0}\n"
        "(pathlib.Path(sys.argv[1]) / 'eval_valid.json').write_text(json.dumps(report))\n"
    )
    validate = [sys.executable, "-S", "-c", written, str(tmp_path / "a")]
    result = fake_runs.job(tmp_path, "a")
    assert statuses(jobs.Runner([result]).run(1)) == ["finished"]
    # Trained before, but not validated.
    result = result._replace(validate=validate)
    assert not jobs.is_finished(result)
    assert statuses(jobs.Runner([result]).run(1)) == ["finished"]
    assert jobs.is_finished(result)


def test_each_slot_has_its_own_variables_and_a_signal_is_no_failure(tmp_path):
    program = (
        "import os, pathlib, sys\n"
        "text = os.environ['GPU'] + os.environ['NWM_JAX_PREEMPTED_EXIT']\n"
        "pathlib.Path(sys.argv[1]).write_text(text)\n"
    )
    todo = [
        jobs.Job(tmp_path / name, [sys.executable, "-S", "-c", program], 1, "fake")
        for name in "abc"
    ]
    todo = [
        job._replace(command=[*job.command, str(job.workdir) + ".txt"]) for job in todo
    ]
    jobs.Runner(todo).run(2, [{"GPU": "x"}, {"GPU": "y"}])
    texts = [(tmp_path / f"{name}.txt").read_text() for name in "abc"]
    assert set(texts) <= {"x0", "y0"}
