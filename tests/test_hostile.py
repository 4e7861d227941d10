"""Hostile input to every verb, reader and format: one line, no hang, no memory, no harm.

Each case runs in a child with a time and a memory limit, forked from a parent that has
imported the package and run no operation of JAX (`helpers/forked.py`).
"""

import os

import pytest

from tests.helpers import forked, hostile, hostile_files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]

NWM = "--config=pendulum_nwm2d:smoke"
OUT = "--workdir=new"
ODD_NAMES = ("empty", "noise", "pickle", "folder", "pipe", "device", "loop", "missing")
SUFFIXES = {
    "array": ["npy"],
    "frames": ["npy"],
    "npz": ["npz"],
    "recording": ["npy", "npz", "mat"],
    "mask": ["npy", "png"],
    "weights": ["npz", "pt", "safetensors"],
    "original": ["pkl"],
    "idx": ["gz"],
    "cifar": ["tar.gz"],
}
ARRAYS = [*hostile_files.HEADERS, "cut", "head", "version"]
ARCHIVES = [*hostile_files.HEADERS, "bomb", "liar", "cut", "flipped", "encrypted"]
# Sizes that no machine holds, and numbers that are none.
NUMBERS = ("9" * 13, "9" * 60, "9" * 400, "1e400", "٤", "-1", "nan", "x")
FIELDS = (
    "batch_size",
    "num_steps",
    "log_every",
    "data.num_train",
    "data.num_frames",
    "model.channels",
    "model.num_observed",
    "eval.num_windows",
    "seed",
)


# Sizes that an int32 holds and no machine: refused before anything is simulated.
LARGEST = 2**31 - 1
TOO_LARGE = (
    ("pendulum_nwm2d", "batch_size", LARGEST),
    ("pendulum_nwm2d", "data.num_frames", LARGEST),
    ("pendulum_nwm2d", "model.grid", "(100000,100000)"),
    ("adding_wrnn", "data.T", LARGEST),
    ("adding_wrnn", "model.units", LARGEST),
    ("adding_wrnn", "eval.num_examples", LARGEST),
    ("tetrominoes_nwm", "data.side", LARGEST),
    ("tetrominoes_nwm", "batch_size", LARGEST),
    ("sine_nwm2d", "data.size", LARGEST),
    ("tetrominoes_nwm", "model.channels", LARGEST),
    ("tetrominoes_nwm", "model.hidden_layers", LARGEST),
    ("tetrominoes_cnn", "model.depth", LARGEST),
    ("pendulum_ar", "model.layers", LARGEST),
)


def table():
    """Lists (verb, arguments); `{f}` is the folder of `hostile_files`."""
    cases = []

    def add(verb, *arguments):
        cases.append((verb, arguments))

    # Readers and formats.
    for reader, suffixes in SUFFIXES.items():
        for suffix in suffixes:
            for name in ODD_NAMES:
                add(reader, f"{{f}}/{name}.{suffix}")
        add(reader, "{f}/a\0b.npy")
        add(reader, f"{{f}}/{'x' * 300}.npy")
        add(reader, "")
    for name in ARRAYS:
        for reader in ("array", "frames", "recording", "mask"):
            add(reader, f"{{f}}/{name}.npy")
    for name in ARCHIVES:
        for reader in ("npz", "recording", "weights"):
            add(reader, f"{{f}}/{name}.npz")
    for name in ("bomb", "warns", "cut", "torn"):
        add("mask", f"{{f}}/{name}.png")
    for name in ("bomb.gz", "enormous.gz", "idx-cut"):
        add("idx", f"{{f}}/{name}")
    for name in ("climbs", "pickled"):
        add("cifar", f"{{f}}/{name}.tar.gz")
    for name in (*hostile_files.JSON, "missing"):
        add("json", f"{{f}}/{name}.json")
        for reader in ("run", "scores", "metrics"):
            for file in ("config", "eval", "metrics"):
                if (reader, file) in (
                    ("run", "config"),
                    ("scores", "eval"),
                    ("metrics", "metrics"),
                ):
                    add(reader, f"{{f}}/runs/{file}_{name}")
        add("curve", f"{{f}}/runs/metrics_{name}/metrics.jsonl")
    for name in ("socket", "records_pipe/features.txt"):
        add("json", f"{{f}}/{name}")
    for name in (
        *("step_text", "no_kind", "no_step", "loss_text", "loss_list"),
        *("huge_step", "deep_line"),
    ):
        add("curve", f"{{f}}/runs/metrics_{name}/metrics.jsonl")
        add("metrics", f"{{f}}/runs/metrics_{name}")
    for kind in ("pipe", "device", "loop", "folder"):
        add("run", f"{{f}}/runs/config_{kind}")
    for name in (
        *("good", "huge", "digits", "arabic", "negative", "binary"),
        *("pipe", "latin", "manifest", "records_pipe"),
    ):
        for reader in ("features", "records", "record folder"):
            add(reader, f"{{f}}/records_{name}")
    # Verbs: workdirs and runs.
    for name in hostile_files.JSON:
        add("train", NWM, f"--workdir={{f}}/runs/config_{name}", "--config.seed=1")
        add("evaluate", f"--workdir={{f}}/runs/config_{name}")
        add("table", f"--runs={{f}}/runs/config_{name}")
        add("table", f"--runs={{f}}/runs/eval_{name}")
        add("plot", f"--runs={{f}}/runs/metrics_{name}", "--out=new.png")
    for kind in ("pipe", "device", "loop", "folder"):
        add("table", f"--runs={{f}}/runs/config_{kind}")
        add("evaluate", f"--workdir={{f}}/runs/config_{kind}")
    add("table", "--runs={f}/runs/*")
    add("table", "--runs={f}/runs/*", "--format=csv")
    for which in ("٤٢", "²", "9" * 400, "../..", "-1", "1e3", ""):
        add("evaluate", "--workdir={f}/runs/steps", f"--which={which}")
    for flag in ("--workdir=", "--workdir=a[1]/b", "--workdir=a\\b"):
        add("train", NWM, flag)
    for path in ("/dev/null/run", "{f}/empty.json/run", "{f}/loop.npy/run", "x" * 300):
        add("train", NWM, f"--workdir={path}")
        add("generate", "--dataset=pendulum", "--num_train=1", f"--out={path}")
    add("train", NWM, "--workdir={f}/linked")
    # Configs.
    for field in FIELDS:
        for number in NUMBERS:
            add("train", NWM, OUT, f"--config.{field}={number}")
    for config, field, value in TOO_LARGE:
        add("train", f"--config={config}:smoke", OUT, f"--config.{field}={value}")
    for grid in (
        *("()", "(5,)", "(5,5,5)", "(True,True)", "(-1,5)", "(5.5,5)", "('a',5)"),
        *("(" * 5_000 + ")" * 5_000, "+".join("1" for _ in range(20_000))),
        *(
            "9" * 5_000,
            "[" * 300,
            "(5,5)\0",
            "__import__('os').system('touch executed')",
        ),
        *(f"({'9' * 13},{'9' * 13})", f"({'9' * 400},1)"),
    ):
        add("train", NWM, OUT, f"--config.model.grid={grid}")
        add("train", f"{NWM},model.grid={grid}", OUT)
    for config in (
        *("", ":", ":::", "pendulum_nwm2d:", "x" * 5_000, "{f}/binary.json"),
        *("{f}/pipe.npy", "{f}/folder.npy", "/dev/zero", "{f}/pipe.py", "/dev/zero.py"),
        *("pendulum_nwm2d:" + "," * 5_000, "pendulum_nwm2d:" + "(" * 5_000),
    ):
        add("train", f"--config={config}", *([] if config.endswith(":") else [OUT]))
    for flagfile in ("binary.json", "pipe.npy", "folder.npy", "loop.npy", "none"):
        add("train", NWM, OUT, f"--flagfile={{f}}/{flagfile}", "--config.seed=-1")
    for name in hostile_files.FLAGS:
        verb = "train" if name == "overrides" else "generate"
        rest = [] if verb == "train" else ["--dataset=pendulum", "--out=new"]
        add(verb, f"--flagfile={{f}}/{name}.flags", *rest)
    # Data, recordings, drums, figures.
    for band in (
        *("1e-310,1e-309", "1e-320,0.2", "0,0.2", "-0.2,0.1", "0.2,0.1", "0.1,0.1"),
        *("0.1,0.5", "0.1,0.9", "inf,inf", "nan,0.2", "0.1,1e400", "0.1", "a,b", ","),
        *("0.1,0.2,0.3", ".٢,.٤", "0x1,0.2"),
    ):
        add("analyse", "{f}/movie.npy", "--out=new", f"--band={band}")
    for name in ("pipe", "device", "folder", "loop", "negative", "enormous", "no_size"):
        add("train", NWM, OUT, f"--config.data.path={{f}}/{name}.npy")
        add("analyse", f"{{f}}/{name}.npy", "--out=new")
        add("drum", f"--mask={{f}}/{name}.npy", "--out=new.png")
    for verb in ("generate", "drum", "analyse", "plot", "table"):
        add(verb, "--out=")
    for flag in ("num_train", "num_steps", "seed"):
        for number in ("9" * 60, "9" * 5_000, "-1", "nan", "x", "1e400", "٤"):
            add("generate", "--dataset=pendulum", "--out=new", f"--{flag}={number}")
    for number in ("inf", "nan", "0", "-1", "1e400", "x"):
        add("generate", "--dataset=pendulum", "--out=new", f"--dt={number}")
        add("analyse", "{f}/any.npy", "--out=new", f"--fs={number}")
    for flag in ("size", "canvas", "steps"):
        for number in ("9" * 13, "9" * 400, "-1", "٤٢x"):
            add("drum", f"--{flag}={number}", "--out=new.png")
    for verb in ("benchmark data", "benchmark train", "benchmark waves"):
        for number in ("-1", "9" * 5_000, "x", "1e9"):
            add(verb, f"--repeats={number}")
    for number in ("-1", "9" * 12, "9" * 22):
        add("benchmark waves", f"--frames={number}")
    return cases


CASES = table()
# Where some of it is no mistake: values of another type, folders that are skipped.
FINE = {*SUFFIXES, "json", "features", "records", "scores", "metrics", "curve"} | {
    *("table", "plot")
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    files = folder / "f"
    files.mkdir()
    hostile_files.make(files)
    cases = [
        (verb, [part.replace("{f}", str(files)) for part in arguments])
        for verb, arguments in CASES
    ]
    return hostile.answers(folder, cases)


def name(case):
    verb, arguments = case
    text = " ".join(arguments)
    return f"{verb} {text if len(text) < 70 else text[:50] + '...' + text[-15:]}"


def test_there_are_enough_cases():
    assert len(set(CASES)) == len(CASES) >= 300
    assert {verb for verb, _ in CASES} >= {*forked.VERBS}


@pytest.mark.parametrize("number", range(len(CASES)), ids=map(name, CASES))
def test_one_line_or_nothing(number, results):
    check(CASES[number], results[number])


def check(case, result):
    """One line that is no repr, within the limits, and nothing left behind."""
    verb, _ = case
    hostile.within_limits(result)
    if result["code"] == 0 and verb in FINE:
        return
    hostile.one_line(result)
    assert not result["made"], result["made"]
