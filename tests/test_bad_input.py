"""Bad configs, flags and files: one line that says so, exit code 2, nothing half made."""

import json
import pickle
import re

import numpy as np
import pytest

from nwm_jax import analyse as waves
from nwm_jax import evaluate, folders, generate, plot, table, train
from nwm_jax.config import presets
from nwm_jax.shell import benchmark_data, benchmark_train, benchmark_waves, cli
from nwm_jax.training import workdir
from tests.helpers import malicious_files

VERBS = {
    "train": train,
    "evaluate": evaluate,
    "plot": plot,
    "table": table,
    "generate": generate,
    "benchmark data": benchmark_data,
    "benchmark train": benchmark_train,
    "benchmark waves": benchmark_waves,
    "waves": waves,
}

NWM = "--config=pendulum_nwm2d:smoke"
COPY = "--config=copy_wrnn:smoke"
OUT = "--workdir={new}"
LONG = "--workdir={new}" + 300 * "a"


def run(verb, *arguments):
    """Runs a verb in this process; its exit code."""
    module = VERBS[verb]
    for name in module.FLAGS:
        module.FLAGS[name].unparse()
    argv = [verb, *arguments]
    with pytest.raises(SystemExit) as end:
        cli.run(module.main, module.FLAGS, argv=argv, positional=verb == "waves")
    return end.value.code


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder of things that are not what they should be."""
    folder = tmp_path_factory.mktemp("files")
    frames = np.zeros((4, 80, 32, 32, 3), np.uint8)
    arrays = {
        "frames": frames,
        "float": frames[:1, :1].astype(np.float32),
        "movie": frames[0],
        "short": frames[:, :5],
        "empty": frames[:0],
        "planes": frames[:, :, ::4, ::4, :2],
        "narrow": frames[:, :, :30, :30],
        "field": np.zeros((20, 3, 3)),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    whole = (folder / "frames.npy").read_bytes()
    (folder / "cut.npy").write_bytes(whole[:1000])
    (folder / "text.npy").write_text("frames")
    np.savez(folder / "foreign.npz", x=np.ones(3))
    (folder / "renamed.npy").write_bytes((folder / "foreign.npz").read_bytes())
    malicious_files.bomb(folder / "bomb.npz")
    with (folder / "pickled.npy").open("wb") as file:
        pickle.dump({"frames": [1, 2]}, file)
    np.save(folder / "objects.npy", np.array([{}, None], object), allow_pickle=True)
    (folder / "nothing").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "records").mkdir()
    (folder / "records" / "features.txt").write_text("not a list of features\n")
    configs = {
        "syntax": "def get_config(:",
        "empty": "",
        "raises": "def get_config(argument):\n    return 1 / 0",
        "dict": "def get_config(argument):\n    return {}",
        "foreign": "from ml_collections import ConfigDict\n"
        "def get_config(argument):\n    return ConfigDict({'lr': 1e-3})",
    }
    for name, text in configs.items():
        (folder / f"{name}.py").write_text(text)
    for name in ("torn", "list", "unknown", "unfinished", "other", "used"):
        (folder / name).mkdir()
    (folder / "torn" / "config.json").write_text('{"config": {"na')
    (folder / "list" / "config.json").write_text("[1, 2]")
    config = presets.load(NWM.removeprefix("--config="))
    workdir.claim(folder / "unfinished", config)
    workdir.claim(folder / "other", config)
    # A run that has been evaluated; without a step its config could still change.
    (folder / "other" / "eval.json").write_text("{}")
    stored = json.loads((folder / "unfinished" / "config.json").read_text())
    stored["config"]["model"]["name"] = "transformer"
    (folder / "unknown" / "config.json").write_text(json.dumps(stored))
    checkpoint = folder / "unfinished" / "checkpoints" / "20"
    checkpoint.mkdir(parents=True)
    (checkpoint / "manifest.json").write_text("{}")
    return folder


CASES = [
    # Configs and their fields.
    ("train", [OUT], "--config is required"),
    ("train", [NWM], "--workdir is required"),
    ("train", ["--config=pendulum", OUT], "unknown config 'pendulum'"),
    ("train", ["--config=nowhere.py", OUT], "nowhere.py does not exist"),
    ("train", ["--config={f}/syntax.py", OUT], "syntax.py, line 1: SyntaxError"),
    ("train", ["--config={f}/empty.py", OUT], "does not define get_config"),
    ("train", ["--config={f}/raises.py", OUT], "line 2: ZeroDivisionError"),
    ("train", ["--config={f}/dict.py", OUT], "returned a dict"),
    ("train", ["--config={f}/foreign.py", OUT], "has no field task"),
    ("train", [f"{NWM},lr=1", OUT], "unknown config field 'lr'"),
    ("train", [NWM, OUT, "--config.batch_size=many"], "batch_size takes an integer"),
    ("train", [NWM, OUT, "--config.batch_size=-1"], "batch_size=-1 must be at least 1"),
    ("train", [NWM, OUT, "--config.batch_size=6"], "does not divide among 4 devices"),
    ("train", [NWM, OUT, "--config.num_steps=0"], "num_steps=0 must be at least 1"),
    ("train", [NWM, OUT, "--config.remat=-2"], "remat=-2 must be at least -1"),
    ("train", [NWM, OUT, "--config.seed=-1"], "seed=-1 must be at least 0"),
    ("train", [NWM, OUT, "--config.seed=4294967296"], r"must be below 2\*\*32"),
    ("train", [NWM, OUT, "--config.optimizer.learning_rate=nan"], "finite number"),
    ("train", [NWM, OUT, "--config.optimizer.learning_rate=-1"], "above 0"),
    ("train", [NWM, OUT, "--config.optimizer.clip=-1"], "clip=-1.0 must be at least 0"),
    ("train", [NWM, OUT, "--config.optimizer.name=adm"], "did you mean 'adam'"),
    ("train", [NWM, OUT, "--config.optimizer.warmup_steps=99"], "at most num_steps"),
    ("train", [NWM, OUT, "--config.conv=winograd"], "unknown conv 'winograd'"),
    ("train", [NWM, OUT, "--config.task=chess"], "unknown task 'chess'"),
    ("train", [NWM, OUT, "--config.model.grid=(5,0)"], "two integers of at least 1"),
    ("train", [NWM, OUT, "--config.model.grid=(5,)"], "two integers of at least 1"),
    ("train", [NWM, OUT, "--config.model.grid=5x5"], "takes a tuple"),
    ("train", [NWM, OUT, "--config.model.conv_channels=0"], "at least 1"),
    ("train", [NWM, OUT, "--config.model.num_ic=60"], "at most model.num_observed"),
    ("train", [NWM, OUT, "--config.model.num_observed=12"], "below model.num_target"),
    ("train", [NWM, OUT, "--config.model.decode=p"], "unknown model.decode 'p'"),
    ("train", [NWM, OUT, "--config.data.num_frames=9"], "training clips have"),
    ("train", [NWM, OUT, "--config.data.dt=0"], "data.dt=0.0 must be"),
    ("train", [NWM, OUT, "--config.data.name=springs"], "unknown data.name 'springs'"),
    ("train", [NWM, OUT, "--config.eval.batch_size=0"], "at least 1"),
    ("train", [NWM, OUT, "--config.eval.every=-5"], "at least 0"),
    ("train", [NWM, OUT, "--config.model.units=4"], "unknown config field"),
    ("train", [COPY, OUT, "--config.conv=bf16"], "unknown conv 'bf16'"),
    ("train", ["--config=pendulum_hgn:smoke,model.integrator=rk9", OUT], "rk9"),
    ("train", ["--config=pendulum_hgn:smoke,model.latent=7", OUT], "even"),
    # Data.
    ("train", [NWM, OUT, "--config.data.path={f}/none.npy"], "cannot be opened"),
    ("train", [NWM, OUT, "--config.data.path={f}/text.npy"], "cannot be read"),
    ("train", [NWM, OUT, "--config.data.path={f}/cut.npy"], "cannot be read"),
    ("train", [NWM, OUT, "--config.data.path={f}/pickled.npy"], "cannot be read"),
    ("train", [NWM, OUT, "--config.data.path={f}/objects.npy"], "cannot be read"),
    ("train", [NWM, OUT, "--config.data.path={f}/renamed.npy"], "is an archive"),
    ("train", [NWM, OUT, "--config.data.path={f}/float.npy"], "float32, not uint8"),
    ("train", [NWM, OUT, "--config.data.path={f}/movie.npy"], "has shape"),
    ("train", [NWM, OUT, "--config.data.path={f}/empty.npy"], "has shape"),
    ("train", [NWM, OUT, "--config.data.path={f}/short.npy"], "have 5 frames"),
    ("train", [NWM, OUT, "--config.data.path={f}/planes.npy"], "have 2 channels"),
    ("train", [NWM, OUT, "--config.data.path={f}/narrow.npy"], "multiples? of 8"),
    ("train", [NWM, OUT, "--config.data.path={f}/nothing"], "features.txt"),
    ("train", [NWM, OUT, "--config.data.path={f}/records"], "features.txt"),
    ("train", ["--config=psmnist_wrnn:laptop,data.path={f}/nothing", OUT], "nothing"),
    # Folders of runs.
    ("train", [NWM, "--workdir={f}/text.npy/run"], "cannot write to the workdir"),
    ("train", [NWM, "--workdir=/proc/nowhere/run"], "cannot write to the workdir"),
    ("train", [NWM, "--workdir={f}/loop/run"], "symbolic links"),
    ("train", [NWM, LONG], "File name too long"),
    ("train", [NWM, "--workdir={f}/used"], "another run is training in"),
    ("train", [NWM, "--workdir={f}/torn"], "not readable JSON"),
    (
        "train",
        [NWM, "--workdir={f}/other", "--config.seed=3", "--config.model.channels=2"],
        r"\(model.channels: 1 -> 2; seed: 0 -> 3\)",
    ),
    ("train", [NWM, "--workdir={f}/list"], "does not hold the config of a run"),
    ("evaluate", [], "--workdir is required"),
    ("evaluate", ["--workdir={f}/nothing"], "is not a workdir"),
    ("evaluate", ["--workdir={f}/loop"], "loop"),
    ("evaluate", [LONG], "name too long|is not a workdir"),
    ("evaluate", ["--workdir={f}/torn"], "not readable JSON"),
    ("evaluate", ["--workdir={f}/list"], "does not hold the config"),
    ("evaluate", ["--workdir={f}/unknown"], "unknown model.name 'transformer'"),
    ("evaluate", ["--workdir={f}/other"], "has no checkpoint yet"),
    ("evaluate", ["--workdir={f}/unfinished"], "step 20 .* is damaged"),
    ("evaluate", ["--workdir={f}/unfinished", "--which=9"], "no checkpoint 9; there"),
    ("evaluate", ["--workdir={f}/unfinished", "--which=../20"], r"no checkpoint '\.\."),
    ("evaluate", ["--workdir={f}/other", "--input=a.npy"], "go together"),
    ("evaluate", ["--workdir={f}/other", "--horizon=0"], "not a positive integer"),
    ("plot", [], "--workdir"),
    ("plot", ["--workdir={f}/nothing"], "is not a workdir"),
    ("plot", [LONG], "name too long|is not a workdir"),
    ("plot", ["--runs={f}/nothing", "--out={new}.png"], "nothing"),
    ("table", [], "--runs is required"),
    ("table", ["--runs={f}/nowhere*"], "nowhere"),
    ("table", ["--runs={f}/nothing", "--out={new}"], "nothing"),
    ("table", ["--runs={f}/torn", "--format=html"], "--format=html"),
    # Data to write, to measure, to analyse.
    ("generate", ["--out={new}"], "--dataset is required"),
    ("generate", ["--dataset=pendulum"], "--out is required"),
    ("generate", ["--dataset=pendulun", "--out={new}"], "unknown dataset 'pendulun'"),
    ("generate", ["--dataset=pendulum", "--out={new}", "--num_train=-1"], "num_train"),
    ("generate", ["--dataset=pendulum", "--out={new}", "--num_steps=0"], "num_steps"),
    ("generate", ["--dataset=pendulum", "--out={new}", "--dt=nan"], "dt"),
    ("generate", ["--dataset=pendulum", "--out={new}", "--seed=-3"], "seed"),
    ("generate", ["--dataset=pendulum", "--out={f}/text.npy"], "text.npy"),
    ("generate", ["--dataset=pendulum", f"--out=/tmp/{300 * 'a'}"], "name too long"),
    ("generate", ["--dataset=pendulum", "--preview={new}.jpg"], "jpg"),
    ("benchmark data", ["--dataset=pendulun"], "unknown dataset 'pendulun'"),
    ("benchmark data", ["--repeats=0"], "repeats is 0"),
    ("benchmark train", [], "--config is required"),
    ("benchmark train", [NWM, "--repeats=0"], "--repeats=0"),
    ("benchmark train", [NWM, "--config.batch_size=5"], "does not divide"),
    ("benchmark train", [NWM, "--config.data.path={f}/float.npy"], "not uint8"),
    ("waves", ["--out={new}"], "give one recording"),
    ("waves", ["{f}/field.npy"], "--out is required"),
    ("waves", ["{f}/none.npy", "--out={new}"], "does not exist"),
    ("waves", [f"{300 * 'a'}.npy", "--out={new}"], "name too long"),
    ("waves", ["{f}/loop", "--out={new}"], "loop"),
    ("waves", ["{f}/text.npy", "--out={new}"], "text.npy cannot be read as an array"),
    ("waves", ["{f}/objects.npy", "--out={new}"], "is pickled or holds objects"),
    ("waves", ["{f}/renamed.npy", "--out={new}"], "is an archive: name it .npz"),
    ("waves", ["{f}/bomb.npz", "--out={new}"], "unpacks to .* GB"),
    ("waves", ["{f}/frames.npy", "--out={new}"], "time, height, width"),
    ("waves", ["{f}/field.npy", "--out={new}"], "constant"),
    ("waves", ["{f}/field.npy", "--out={new}", "--band=9,3", "--fs=100"], "band"),
]


def survey(folder):
    return {
        path.relative_to(folder): path.stat().st_mtime_ns if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != workdir.LOCK
    }


@pytest.mark.parametrize(("verb", "arguments", "message"), CASES)
def test_one_line_and_nothing_left(
    verb, arguments, message, files, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NWM_JAX_CACHE", str(tmp_path / "cache"))
    before = survey(files)
    arguments = [
        argument.replace("{f}", str(files)).replace("{new}", str(tmp_path / "new"))
        for argument in arguments
    ]
    with folders.locked(files / "used" / workdir.LOCK, wait=False):
        code = run(verb, *arguments)
    _, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert line.startswith("error: ") and code == 2
    assert re.search(message, line), line
    assert survey(files) == before
    assert survey(tmp_path) == {}
