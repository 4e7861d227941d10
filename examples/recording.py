"""Waves in a recording: makes one whose waves are known, and analyses it.

    python examples/recording.py

With your own: `data = np.load("recording.npy")`, or any file by
`nwm_jax.waves.formats.read("recording.nwb").data`.
"""

import numpy as np

from nwm_jax.waves import analysis, describe, prepare

FS, FREQUENCY, WAVELENGTH, DIRECTION, SPACING = 200.0, 10.0, 5.6, 0.4, 0.4


def recording() -> np.ndarray:
    """Returns 10 x 10 channels over 5 s: [1000, 10, 10], some of them dead."""
    row, column = np.indices((10, 10)) * SPACING  # mm
    along = np.sin(DIRECTION) * row + np.cos(DIRECTION) * column
    t = np.arange(1000)[:, None, None] / FS
    x = np.cos(2 * np.pi * (FREQUENCY * t - along / WAVELENGTH))
    generator = np.random.default_rng(0)
    x += generator.normal(size=x.shape)
    x[:, generator.random((10, 10)) < 0.2] = 0.0  # flat: dead channels
    return x


def main() -> None:
    """Analyses the recording and prints what is true beside what was found."""
    analysed = analysis.analyse(
        recording(),
        fs=FS,
        band=(5, 20),
        spacing=SPACING,
        steps=prepare.Steps(bad="drop"),
        units=describe.Units("s", "mm"),
    )
    numbers, waves = analysed.result["statistics"], analysed.result["fronts"]
    low, high = numbers["speed_interval"]
    print(f"speed      {FREQUENCY * WAVELENGTH:.1f} mm/s true, ", end="")
    print(f"{numbers['speed']:.1f} found ({low:.1f} to {high:.1f})")
    print(f"wavelength {WAVELENGTH:.2f} mm true, {numbers['wavelength']:.2f} found")
    print(f"direction  {DIRECTION:.2f} rad true, {numbers['direction']:.2f} found")
    print(f"waves      {FREQUENCY * 5:.0f} true, {waves['count']} found: ", end="")
    print(describe.text(waves["by_class"]))


if __name__ == "__main__":
    main()
