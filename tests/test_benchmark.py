"""What the benchmark measures and says; not how fast anything is."""

import json

import pytest

from nwm_jax import benchmark
from nwm_jax.shell import benchmark_data, benchmark_waves
from nwm_jax.shell import machine as measure


def run(*arguments):
    """Runs the verb in this process; its exit code."""
    for flags in (benchmark_data.FLAGS, benchmark_waves.FLAGS):
        for name in flags:
            flags[name].unparse()
    with pytest.raises(SystemExit) as end:
        benchmark.run(["benchmark", *arguments])
    return end.value.code


@pytest.mark.slow
def test_json_is_one_line_with_everything(capsys):
    arguments = ("--dataset=mass_spring,pendulum", "--num_steps=60", "--repeats=2")
    assert not run("data", *arguments, "--json")
    (line,) = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    assert report["benchmark"] == "data"
    assert report["num_steps"] == 60 and report["repeats"] == 2
    assert report["unit"] == "ms per trajectory"
    assert set(report["machine"]) >= {"cpu", "cores", "jax", "load"}
    assert [row["dataset"] for row in report["datasets"]] == ["mass_spring", "pendulum"]
    for row, original in zip(report["datasets"], (0.28, 0.36), strict=False):
        for part in benchmark_data.PARTS:
            times = row[part]
            assert 0 < times["least"] <= times["median"] <= times["most"]
        assert row["total"]["least"] >= row["render"]["least"]
        assert row["original"] == original
        assert row["ratio"] == pytest.approx(1e3 * original / row["total"]["median"])


def test_the_table(capsys):
    assert not run("data", "--dataset=mass_spring", "--num_steps=2", "--repeats=1")
    machine, header, row = capsys.readouterr().out.splitlines()
    assert "cores" in machine and "jax" in machine
    assert header.split()[3:7] == list(benchmark_data.PARTS)
    # No number of the original's for so few steps: no ratio either.
    assert row.split()[0] == "mass_spring" and len(row.split()) == 7


def test_every_repetition_is_of_other_trajectories(monkeypatch):
    chunks = []
    simulate = benchmark_data.trajectories.simulate_chunk

    def counted(spec, split, chunk, **settings):
        chunks.append(chunk)
        return simulate(spec, split, chunk, **settings)

    monkeypatch.setattr(benchmark_data.trajectories, "simulate_chunk", counted)
    benchmark_data.run(benchmark_data.suite.get("mass_spring"), num_steps=2, repeats=3)
    assert chunks == [0, 1, 2, 3]


def test_summaries():
    assert measure.summarise([3.0, 1.0, 2.0, 40.0], 2.0) == (5.0, 2.0, 80.0)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "name what to measure"),
        (["date"], "unknown command 'date'; did you mean 'data'?"),
        (["data", "--dataset=pendulun"], "unknown dataset 'pendulun'"),
        (["data", "--num_steps=0"], "num_steps is 0"),
        (["data", "--repeats=x"], "not an integer"),
        (["data", "more"], "unexpected argument 'more'"),
    ],
)
def test_mistakes_are_told_in_one_line(capsys, arguments, text):
    assert run(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and text in line


def test_help(capsys):
    assert not run("--help")
    assert "data    simulating and drawing" in capsys.readouterr().out
    assert not run("data", "--help")
    out = capsys.readouterr().out
    assert "--num_steps" in out and "Measures how fast" in out


def test_waves(capsys):
    arguments = ("waves", "--frames=8000", "--repeats=1")
    assert not run(*arguments, "--json")
    (line,) = capsys.readouterr().out.splitlines()
    report = json.loads(line)
    assert report["benchmark"] == "waves" and report["samples"] == 800_000
    for clock in ("clock", "processor"):
        assert set(report[clock]) == set(benchmark_waves.PARTS)
        parts = [report[clock][part]["median"] for part in benchmark_waves.PARTS]
        assert sum(parts[:-1]) == pytest.approx(parts[-1]) and min(parts) > 0
    assert not run(*arguments)
    machine, sizes, header, *rows = capsys.readouterr().out.splitlines()
    assert "cores" in machine and "800,000" in sizes and "clock" in header
    assert [row.split()[0] for row in rows] == list(benchmark_waves.PARTS)
