"""Random calls of the seven compiled functions against XLA's in double precision.

    python -m tests.helpers.native_sweep --calls=500 --seed=1
    python -m tests.helpers.native_sweep --calls=500 --sanitize

The second compiles the functions with the address and undefined-behaviour sanitizers of
the compiler and runs the sweep with them, in a process of its own.
"""

import argparse
import functools
import os
import pathlib
import subprocess
import sys
import tempfile

import jax
import jax.numpy as jnp
import numpy as np

from nwm_jax import native
from nwm_jax.modules import fast_conv, xla_conv
from nwm_jax.modules.conv_layers import Layer
from nwm_jax.native import build

# Channels on both sides of what decides how sums are made: vectors, panels, Winograd.
CHANNELS = (1, 2, 3, 4, 5, 8, 15, 16, 17, 20, 33, 64, 66, 70)
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")


def draw_call(rng):
    """Returns a function's name, the shapes of its arrays and its geometry."""
    operation = rng.choice(["correlate", "spread", "upsample"])
    n = int(rng.choice([0, 1, 2, 3, 7, 20], p=[0.05, 0.25, 0.25, 0.25, 0.15, 0.05]))
    c, o = (int(each) for each in rng.choice(CHANNELS, 2))
    size = [int(each) for each in rng.integers(1, 13, 2)]
    window = (
        [3, 3] if rng.random() < 0.5 else [int(each) for each in rng.integers(1, 6, 2)]
    )
    stride = int(rng.choice([1, 1, 1, 2, 3]))
    low = tuple(int(rng.integers(0, k)) for k in window)
    slope = float(rng.choice([1.0, 0.2, 0.01]))
    if operation == "upsample":
        window, stride, low = [3, 3], 2, (1, 1)
        out = [2 * each for each in size]
    else:
        # The last window begins inside of the larger images.
        most = [(s - 1 + each) // stride + 1 for s, each in zip(size, low, strict=True)]
        out = [int(rng.integers(max(0, m - 2), m + 1)) for m in most]
        if operation == "spread":
            size, out = out, size
    layer = Layer(str(operation), stride, low, tuple(out), slope)
    x, y = (n, *size, c), (n, *out, o)
    kind = rng.choice(["", "_gradients", "kernel"])
    if kind == "kernel" and operation == "correlate":
        return "kernel_gradient", (x, y), {"layer": layer, "window": tuple(window)}
    if kind == "_gradients":
        arrays = x, (*window, o, c), y
        return f"{operation}_gradients", arrays, {"layer": layer}
    return str(operation), (x, (*window, c, o), (o,)), {"layer": layer}


def draw_arrays(rng, shapes, dtype, wild):
    """Returns arrays of normal numbers, some of them views; a few NaN or infinite."""
    arrays = []
    for shape in shapes:
        array = rng.normal(size=shape)
        if wild and array.size and rng.random() < 0.6:
            places = rng.integers(0, array.size, rng.integers(1, 3))
            array.flat[places] = rng.choice([np.nan, np.inf, -np.inf])
        array = array.astype(dtype)
        if rng.random() < 0.3:
            array = np.repeat(array, 2, axis=0)[::2]
        elif rng.random() < 0.3:
            array = np.ascontiguousarray(array.swapaxes(0, -1)).swapaxes(0, -1)
        arrays.append(array)
    return arrays


def reference(name, arrays, geometry):
    """Returns XLA's results in double precision."""
    with jax.enable_x64(True):
        wide = [jnp.asarray(array, float) for array in arrays]
        plain = functools.partial(getattr(xla_conv, name), **geometry)
        return [np.asarray(leaf) for leaf in jax.tree.leaves(jax.jit(plain)(*wide))]


def may_be_lost(name, arrays, geometry):
    """Returns where results may be NaN or infinite, because the arrays are somewhere.

    Where images are read, and all that a channel of a kernel or a gradient at a kernel
    has: there they meet the zeros outside of images too.
    """
    marks = [(~np.isfinite(array)).astype(float) for array in arrays]
    ones = [np.ones_like(mark) for mark in marks]
    if name == "kernel_gradient":
        x, g = (mark.any((0, 1, 2)) for mark in marks)
        return [np.broadcast_to(x[:, None] | g, (*geometry["window"], x.size, g.size))]
    flat = {**geometry, "layer": geometry["layer"]._replace(slope=1.0)}
    if not name.endswith("_gradients"):
        x, kernel, bias = marks
        read = reference(name, [x, ones[1], 0 * ones[2]], flat)[0] > 0
        return [read | kernel.any((0, 1, 2)) | (bias > 0)]
    x, back, g = marks
    read = reference(name, [ones[0], ones[1], g], flat)[0] > 0
    one, other = g.any((0, 1, 2)), x.any((0, 1, 2))
    pairs = one[:, None] | other if name == "spread_gradients" else other[:, None] | one
    dkernel = np.broadcast_to(pairs, (*back.shape[:2], *pairs.shape))
    return [read | back.any((0, 1, 2)), dkernel, one]


def compare(name, arrays, geometry, instruction_sets):
    """Returns a line for each difference from XLA in double precision."""
    wanted = reference(name, arrays, geometry)
    lost = may_be_lost(name, arrays, geometry)
    tolerance = 1e-11 if arrays[0].dtype == np.float64 else 3e-6
    wrong, finite = [], None
    for instruction_set in instruction_sets:
        native.use(instruction_set)
        got = jax.tree.leaves(fast_conv._call(name, arrays, **geometry))
        got = [np.asarray(a) for a in got]
        for index, (a, b, may) in enumerate(zip(got, wanted, lost, strict=True)):
            what = f"{instruction_set}: result {index}"
            if a.dtype != arrays[0].dtype or a.shape != b.shape:
                wrong.append(f"{what} is {a.dtype}{a.shape}, not {b.shape}")
                continue
            if (np.isfinite(a) & ~np.isfinite(b)).any():
                wrong.append(f"{what} is finite where XLA's is not")
            if (~np.isfinite(a) & ~may).any():
                wrong.append(f"{what} is not finite where nothing not finite is read")
            fine = np.isfinite(a)
            error = np.linalg.norm(a[fine] - b[fine])
            if not error <= tolerance * max(1.0, np.linalg.norm(b[fine])):
                wrong.append(f"{what} is off by {error}")
        places = [np.isfinite(a) for a in got]
        if finite and not all(map(np.array_equal, finite, places)):
            wrong.append(f"{instruction_set}: other places are finite")
        finite = places
    return wrong


def sweep(calls, seed):
    """Makes random calls with all instruction sets; returns a line for each mistake."""
    assert native.available(), native.problem()
    rng = np.random.default_rng(seed)
    lines = []
    try:
        for _ in range(calls):
            name, shapes, geometry = draw_call(rng)
            double, wild = rng.random() < 0.4, rng.random() < 0.3
            arrays = draw_arrays(
                rng, shapes, np.float64 if double else np.float32, wild
            )
            with jax.enable_x64(double):
                wrong = compare(name, arrays, geometry, native.instruction_sets())
            lines += [f"{name} {shapes} {geometry} {line}" for line in wrong]
    finally:
        native.use("")
    return lines


def run_with_sanitizers(arguments):
    """Compiles with sanitizers and runs this program with that library."""
    with tempfile.TemporaryDirectory() as folder:
        library = pathlib.Path(folder, build.LIBRARY.name)
        build.build(library, flags=(*SANITIZERS, "-O1", "-g1"))
        # The second, for it is opened too late where Python itself does not need it.
        runtimes = [
            subprocess.run(
                [*build.compiler(), f"-print-file-name={name}"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for name in ("libasan.so", "libstdc++.so.6")
        ]
        environment = {
            **os.environ,
            "LD_PRELOAD": " ".join(runtimes),
            "ASAN_OPTIONS": "detect_leaks=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        command = [sys.executable, "-m", "tests.helpers.native_sweep", *arguments]
        command.append(f"--library={library}")
        return subprocess.run(command, env=environment, check=False).returncode


def main():
    """Runs the sweep; exit code 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sanitize", action="store_true")
    parser.add_argument("--library", type=pathlib.Path, help="not the installed one")
    args = parser.parse_args()
    if args.sanitize:
        same = [f"--calls={args.calls}", f"--seed={args.seed}"]
        sys.exit(run_with_sanitizers(same))
    if args.library:
        build.LIBRARY = args.library
    wrong = sweep(args.calls, args.seed)
    print(*wrong, sep="\n")
    print(f"{args.calls} calls with seed {args.seed}, {len(wrong)} differences")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
