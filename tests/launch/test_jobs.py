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
    told = jobs.summary(outcomes, 61.0)
    assert "exit code 3: out of luck" in told
    assert str(tmp_path / "b.log") in told
    assert told.endswith("2 finished, 1 failed in 0:01:01")
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
    report = {"step": 30, "protocol": "fake", "solved": solved}
    (tmp_path / "a" / "eval.json").write_text(json.dumps(report))
    found = fake_runs.job(tmp_path, "a")._replace(stops=stops)
    assert jobs.is_finished(found) == finished


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
