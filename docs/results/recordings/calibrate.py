"""Calibrates the tests and the interval of the speed, with fixed seeds.

    OMP_NUM_THREADS=1 nice -n 15 python docs/results/recordings/calibrate.py

Writes calibration.json beside it, after every case. Fields are 16 x 16 sites and 1,000
frames, the band 0.05 to 0.15 cycles per frame, 39 surrogates. The seeds of the interval of
the speed were not looked at while the rules of the package were chosen.
"""

import json
import pathlib
import sys

import numpy as np
import scipy.fft
import scipy.ndimage

from nwm_jax.waves import band_pass, surrogates
from nwm_jax.waves.cycles import measure_cycles
from nwm_jax.waves.pipeline import plain_signal, wave_signal
from nwm_jax.waves.sites import grid_sites
from nwm_jax.waves.speed import headline

HERE = pathlib.Path(__file__).parent
SHAPE, BAND = (1000, 16, 16), (0.05, 0.15)
NUM, LEVEL = 39, 0.05
SITES = grid_sites(np.ones(SHAPE[1:], bool))
WAVELENGTH, FREQUENCY, DIRECTION = 24.0, 0.1, 0.4


def noise(generator):
    return generator.normal(size=SHAPE)


def smooth(generator):
    return scipy.ndimage.gaussian_filter(noise(generator), (0, 2, 2), mode="wrap")


def standing(generator):
    course = band_pass(generator.normal(size=SHAPE[0]), BAND, zero_phase=True)
    i, j = np.indices(SHAPE[1:])
    wave = course[:, None, None] * np.cos(0.3 * i + 0.2 * j + 0.5)
    return wave / wave.std() + 0.3 * noise(generator)


def plane(generator, level):
    """A wave of a varying course with smooth noise `level` times as strong."""
    wander = np.cumsum(generator.normal(size=SHAPE[0])) * 0.05
    i, j = np.indices(SHAPE[1:])
    k = 2 * np.pi / WAVELENGTH
    place = k * (np.sin(DIRECTION) * i + np.cos(DIRECTION) * j)
    t = 2 * np.pi * FREQUENCY * np.arange(SHAPE[0]) + wander
    wave = np.cos(t[:, None, None] - place)
    background = smooth(generator)
    return wave / wave.std() + level * background / background.std()


def steady(generator, level):
    """A wave of one frequency in white noise: its speed is known exactly."""
    i, j = np.indices(SHAPE[1:])
    k = 2 * np.pi / WAVELENGTH
    place = k * (np.sin(DIRECTION) * i + np.cos(DIRECTION) * j)
    t = 2 * np.pi * FREQUENCY * np.arange(SHAPE[0])
    return np.cos(t[:, None, None] - place) + level * noise(generator)


def rejections(make, draws, case):
    """The rates at which both numbers are significant at 0.05.

    Data and surrogates come from different streams of random numbers.
    """
    hits = {"travelling_index": 0, "momentary_coherence": 0}
    for draw in range(draws):
        x = make(np.random.default_rng([2026, case, draw]))
        signal = plain_signal(x, band=BAND).reshape(SHAPE[0], -1)
        tests, _ = surrogates.significance(
            signal, SITES, NUM, seed=draw, generalized=False
        )
        for name, test in tests.items():
            hits[name] += test["p_value"] <= LEVEL
    return {name: n / draws for name, n in hits.items()} | {"draws": draws}


def coverage(make, draws):
    """How often the 95 % interval of the speed holds the true one."""
    inside, width, speeds = 0, [], []
    for draw in range(draws):
        x = make(np.random.default_rng([2027, draw]))
        signal = wave_signal(x, band=BAND).reshape(SHAPE[0], -1)
        result = headline(measure_cycles(signal, SITES), fs=1.0, spacing=1.0, seed=draw)
        low, high = result.interval
        inside += low <= WAVELENGTH * FREQUENCY <= high
        width.append((high - low) / result.speed)
        speeds.append(result.speed)
    return {
        "coverage": inside / draws,
        "median_width": float(np.median(width)),
        "mean_speed": float(np.mean(speeds)),
        "true_speed": WAVELENGTH * FREQUENCY,
        "draws": draws,
    }


CASES = {
    **{
        f"interval of the speed, noise {level:g}": lambda level=level: coverage(
            lambda g: steady(g, level), 200
        )
        for level in (0.5, 1.0, 2.0)
    },
    "null: smooth noise": lambda: rejections(smooth, 300, 0),
    "null: standing wave": lambda: rejections(standing, 300, 1),
    "null: independent noise": lambda: rejections(noise, 300, 2),
    **{
        f"power: noise {level:g} times the wave": lambda level=level: rejections(
            lambda g: plane(g, level), 40, 3
        )
        for level in (1.0, 2.0, 4.0, 8.0)
    },
}


def main(wanted):
    path = HERE / "calibration.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for name, case in CASES.items():
        if wanted and not any(word in name for word in wanted):
            continue
        results[name] = case()
        path.write_text(json.dumps(results, indent=1) + "\n")
        print(name, results[name], flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
