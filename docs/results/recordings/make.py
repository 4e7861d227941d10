"""Runs the table of truth: recordings and synthetic waves whose answers are known.

    python docs/results/recordings/make.py now          # fills the column "now"
    python docs/results/recordings/make.py now mouse    # only cases of that name
    python docs/results/recordings/make.py table        # writes truth.md from truth.json

Every case is one call of the command on one file. Files of real recordings are looked
up in $NWM_JAX_RECORDINGS; without it these cases are left as they are.
"""

import json
import os
import pathlib
import sys
import tempfile

import numpy as np

from nwm_jax import analyse
from nwm_jax.errors import UserError
from nwm_jax.figures import recording

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "truth.json"
SEEDS = (0, 1, 2)


def plane(sites, length, fs, frequency, wavelength, direction, noise, seed):
    """cos(omega t - k . r) at sites [N, 2], with white noise: float32 [T, N]."""
    k = 2 * np.pi / wavelength * np.array([np.sin(direction), np.cos(direction)])
    t = np.arange(length)[:, None] / fs
    x = np.cos(2 * np.pi * frequency * t - sites @ k)
    x += noise * np.random.default_rng(seed).normal(size=x.shape)
    return x.astype(np.float32)


def grid(height, width):
    return np.indices((height, width)).reshape(2, -1).T.astype(float)


def sheet(height, width, *rest):
    return plane(grid(height, width), *rest).reshape(-1, height, width)


def dead(seed):
    x = sheet(10, 10, 1000, 200, 10, 18.7, 0.4, 0.3, seed)
    gone = np.random.default_rng(100 + seed).permutation(100)[:40]
    x.reshape(len(x), -1)[:, gone] = np.nan
    return x


def staggered(seed):
    row, column = np.indices((9, 9))
    x = sheet(9, 9, 2000, 200, 10, 14, 0.4, 0.3, seed)
    x[:, (row + column) % 2 == 0] = np.nan
    return x


def matlab(seed):
    return np.moveaxis(sheet(9, 9, 2000, 200, 10, 14, 0.4, 0.3, seed), 0, 2)


BAND = ("--fs=200", "--band=5,20")
SLOW = ("--band=0.01,0.04", "--boundary=periodic")

# name: (maker of the array, flags, what is known)
SYNTHETIC = {
    "64 x 64, noise 1.5": (
        lambda seed: sheet(64, 64, 1600, 200, 10, 50.3, 0.4, 1.5, seed),
        BAND,
        "80 waves, each once; speed 503",
    ),
    "64 x 64, noise 2": (
        lambda seed: sheet(64, 64, 1600, 200, 10, 50.3, 0.4, 2.0, seed),
        BAND,
        "80 waves; speed 503",
    ),
    "9 x 9 staggered": (staggered, BAND, "100 waves; speed 140, wavelength 14"),
    "10 x 10, 40 dead": (dead, BAND, "50 waves, each once; speed 187"),
    "18 x 18 torus, wavelength 3": (
        lambda seed: sheet(18, 18, 1000, 1, 0.02, 3, 0.0, 0.05, seed),
        SLOW,
        "direction 0, speed 0.06",
    ),
    "9 x 9 as [H, W, T]": (matlab, BAND, "refused, or speed 140"),
} | {
    f"16 x 16, wavelength {wavelength}": (
        lambda seed, wavelength=wavelength, noise=noise: sheet(
            16, 16, 2000, 200, 10, wavelength, 0.4, noise, seed
        ),
        BAND,
        f"100 waves; wavelength {wavelength}, speed {10 * wavelength}",
    )
    for wavelength, noise in [(8, 0.3), (16, 0.3), (24, 0.3), (32, 0.3), (64, 0.1)]
}

# name: (file, flags, flags of the version before, what is known)
MOUSE = ("--fs=25", "--band=0.5,3", "--mask=auto", "--dff", "--spacing=0.1")
RECORDINGS = {
    "mouse": (
        "mouse_gcamp_50x50.npy",
        MOUSE,
        "45 to 65 waves, at least 20 plane, these at 25 to 50 mm/s",
    ),
    "plane movie": (
        "plane_wave_5px_per_frame.mat",
        ("--time_axis=2",),
        "5.0 pixels a frame",
    ),
    "circular movie": (
        "circular_wave.mat",
        ("--time_axis=2",),
        "radial, source at row 63, column 63, 5 to 6 pixels a frame",
    ),
    "gaussian movie": ("gaussian_waves.tif", ("--bad=drop",), "sources and sinks"),
    "rat ECoG": (
        "rat_ecog_16x16_125hz.npy",
        ("--fs=125", "--band=4,16"),
        "waves at 8 to 9 Hz",
    ),
}
NEW_FLAGS = ("--mask", "--dff", "--spacing", "--bad")


def main(argv: list[str]) -> None:
    if len(argv) < 2 or argv[1] not in ("before", "now", "table"):
        raise SystemExit(__doc__)
    truth = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    recording.draw = lambda *_, **__: []
    if argv[1] != "table":
        wanted = argv[2:]
        for name, row in cases(argv[1], wanted):
            truth.setdefault(name, {}).update(row)
            TABLE.write_text(json.dumps(truth, indent=1) + "\n")
            print(name, row[argv[1]], flush=True)
    (HERE / "truth.md").write_text(page(truth))


def cases(column, wanted):
    """Yields (name, {"known", "command", column}) of every case that can run."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, (make, flags, known) in SYNTHETIC.items():
            if wanted and not any(word in name for word in wanted):
                continue
            values = []
            for seed in SEEDS:
                np.save(folder / "x.npy", make(seed))
                values.append(run(folder / "x.npy", flags, folder / "out"))
            yield name, {"known": known, "command": " ".join(flags), column: values}
        root = os.environ.get("NWM_JAX_RECORDINGS")
        for name, (file, flags, known) in RECORDINGS.items():
            if not root or (wanted and not any(word in name for word in wanted)):
                continue
            command = " ".join((f"$NWM_JAX_RECORDINGS/{file}", *flags))
            if column == "before":  # what the flags of that version can say
                flags = [flag for flag in flags if not flag.startswith(NEW_FLAGS)]
            value = run(pathlib.Path(root) / file, flags, folder / "out")
            yield name, {"known": known, "command": command, column: [value]}


def run(path, flags, out):
    """Runs the command without its pictures; returns the numbers that are compared."""
    argv = ["analyse", str(path), f"--out={out}", *flags]
    analyse.FLAGS.unparse_flags()
    for name in analyse.FLAGS:
        analyse.FLAGS[name].unparse()
    try:
        analyse.main(analyse.FLAGS(argv))
    except UserError as error:
        return {"error": f"error: {error}".replace(str(path), "x")}
    numbers = json.loads((out / "waves.json").read_text())
    statistics, fronts = numbers["statistics"], numbers["fronts"]
    number = statistics["wave_number"]
    row = {
        "speed": statistics["speed"],
        "interval": statistics.get("speed_interval"),
        "direction": statistics["direction"],
        "wavelength": statistics.get("wavelength", 2 * np.pi / number if number else 0),
        "waves": fronts["count"],
        "fronts' speed": fronts["median_speed"],
        "classes": fronts.get("by_class", {"straight": fronts.get("straight")}),
        "spectrum": numbers["spectrum"].get(
            "wavelength_note", numbers["spectrum"]["peak_wavelength"]
        ),
    }
    if fronts.get("source"):
        row["source"] = fronts["source"]
    if numbers.get("warnings"):
        row["warnings"] = len(numbers["warnings"])
    return row


def page(truth) -> str:
    """The table as Markdown."""
    lines = [
        "# Table of truth",
        "",
        "Known answers, what the version before (ed7c89d) printed, and what this one",
        "prints; made by `python docs/results/recordings/make.py now`, the numbers in",
        "full in [truth.json](truth.json). Synthetic cases: a cosine of amplitude 1 plus",
        "independent Gaussian noise, three seeds each, values in their order. Commands:",
        "`python -m nwm_jax.analyse FILE FLAGS --out=FOLDER`.",
        "",
        "| case | flags | known | | before | now |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in truth.items():
        for k, what in enumerate(("speed", "wavelength", "waves", "classes")):
            head = (name, f"`{row['command']}`", row["known"]) if not k else ("",) * 3
            cells = [values(row.get(column, []), what) for column in ("before", "now")]
            lines.append(f"| {' | '.join(head)} | {what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def values(results, what) -> str:
    """One cell: the numbers of all seeds."""
    if results and all("error" in result for result in results):
        return results[0]["error"] if what == "speed" else ""
    return "; ".join(text(result.get(what)) + note(result, what) for result in results)


def note(result, what) -> str:
    """What stands beside a number: the interval, the source, the speed of fronts."""
    if what == "speed" and result.get("interval"):
        return " (" + " to ".join(map(text, result["interval"])) + ")"
    if what == "classes" and result.get("source"):
        return " source at " + text(result["source"])
    if what == "waves" and result.get("fronts' speed"):
        return " at " + text(result["fronts' speed"])
    return ""


def text(value) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(text, value))
    if isinstance(value, dict):
        some = {key: part for key, part in value.items() if part}
        return ", ".join(f"{part} {key}" for key, part in some.items()) or "none"
    return "-" if value is None else str(value)


if __name__ == "__main__":
    main(sys.argv)
