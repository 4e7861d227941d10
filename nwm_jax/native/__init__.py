"""Convolutions in C++ for CPUs, called by XLA (`jax.ffi`) and compiled at installation.

Nothing happens at import. At the first use the library is opened and compared with the
sources beside it, this machine and the running jaxlib, before JAX hears of it: XLA
refuses to start any CPU with functions of a newer interface than its own. Where
something does not fit, `available` is False, `problem` says why in one line with the
remedy, and callers use a plain formulation of the same functions.

NaN and infinity: what reads one of them is not finite either, with all instruction sets
alike, but which of the two it becomes is not defined. In a kernel, and for the gradient
at one, they meet the zeros outside of images too: then all results of that channel, or
the gradients of all its weights, may be lost. Nothing else is touched.

The plain formulations and these are compared by ``benchmark train --compare``. When the
compiled ones are no longer 1.5 times faster than the faster of the other two, on the
paper's step and on `:laptop`, this folder is to be deleted.
"""

import ctypes
import logging
import os
import pathlib
import platform
import re
import shlex
import sys
import threading

import jax

from nwm_jax import errors

# Forces one of `instruction_sets`; the best of this CPU otherwise.
ISA_VARIABLE = "NWM_JAX_ISA"
INSTRUCTION_SETS = ("any", "avx2", "avx512")
FUNCTIONS = (
    *("correlate", "spread", "upsample", "kernel_gradient"),
    *("correlate_gradients", "spread_gradients", "upsample_gradients"),
)

_lock = threading.RLock()
_library: ctypes.CDLL | None = None
_problem: str | None = None
_tried = _reported = False


def available() -> bool:
    """Returns whether XLA has the compiled functions; the first call loads them.

    Where it has not, the reason is logged once as a warning, unless `problem` was asked
    before.

    Raises:
      UserError: $NWM_JAX_ISA names what this CPU has not.
    """
    global _reported
    with _lock:
        line = _load_once()
        if line and not _reported and jax.default_backend() == "cpu":
            _reported = True
            logging.getLogger("nwm_jax").warning("%s", line)
    return line is None


def problem() -> str | None:
    """Returns one line, why the compiled functions are not used; None where they are."""
    global _reported
    with _lock:
        _reported = True
        return _load_once()


def instruction_sets() -> tuple[str, ...]:
    """Returns those of `INSTRUCTION_SETS` that this CPU has; needs `available`."""
    assert _library is not None
    return tuple(
        name for name in INSTRUCTION_SETS if _library.nwm_supports(name.encode())
    )


def use(instruction_set: str) -> None:
    """Computes with another instruction set from now on; needs `available`.

    Not to be called while a convolution runs.

    Args:
      instruction_set: one of `instruction_sets`, or "" for the best.

    Raises:
      UserError: this CPU does not have it.
    """
    assert _library is not None
    if not _library.nwm_use(instruction_set.encode()):
        choices = ", ".join(instruction_sets())
        raise errors.UserError(
            f"{ISA_VARIABLE}={instruction_set}: choose one of {choices}, or unset it"
        )


def _load_once() -> str | None:
    global _library, _problem, _tried
    if not _tried:
        # Not above: `python -m nwm_jax.native.build` would find itself imported.
        from nwm_jax.native import build

        _library, _problem = load(build.LIBRARY)
        _tried = True
        if _library is not None:
            use(os.environ.get(ISA_VARIABLE, ""))
    return _problem


def load(path: pathlib.Path) -> tuple[ctypes.CDLL | None, str | None]:
    """Opens a library, and registers its functions with XLA if all of it fits.

    Args:
      path: of the library.

    Returns:
      The library or None; why it is not used, one line, or None.
    """
    library, what = examine(path)
    if library is not None and (what := _register(library)):
        library = None
    if what is None:
        return library, None
    remedy = f"{shlex.quote(sys.executable)} -m nwm_jax.native.build"
    return None, (
        f"convolutions are not the compiled ones, which are several times faster: "
        f"{what}; with a C++ compiler this compiles them: {remedy}"
    )


def examine(path: pathlib.Path) -> tuple[ctypes.CDLL | None, str | None]:
    """Opens a library and compares what it says of itself; registers nothing."""
    from nwm_jax.native import build

    if not path.exists():
        return None, f"there is no {path}"
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return None, f"{path} was compiled for another machine or system"
    try:
        library.nwm_about.restype = ctypes.c_char_p
        version, sources, machine = library.nwm_about().decode().split(" ")
    except (AttributeError, ValueError):
        return None, f"{path} is of another version of nwm_jax"
    if machine != platform.machine():
        return None, f"{path} was compiled for {machine}"
    own, runtime = tuple(map(int, version.split("."))), runtime_version()
    if runtime is None:
        return None, "the installed jaxlib does not say which version its calls have"
    if own[0] != runtime[0] or own[1] > runtime[1]:
        return None, (
            f"{path} was compiled for version {version} of XLA's calls, "
            f"jaxlib has {runtime[0]}.{runtime[1]}"
        )
    if sources != build.sources_hash():
        return None, f"{path} was compiled from other sources than those beside it"
    return library, None


def runtime_version() -> tuple[int, int] | None:
    """Returns major and minor version of XLA's calls in the running jaxlib, if known.

    They are read from the headers that jaxlib carries for such libraries as this.
    """
    header = pathlib.Path(jax.ffi.include_dir(), "xla/ffi/api/c_api.h")
    try:
        text = header.read_text()
    except OSError:
        return None
    lines = re.findall(r"^#define XLA_FFI_API_(MAJOR|MINOR) (\d+)", text, re.MULTILINE)
    result = dict(lines)
    if len(result) < 2:
        return None
    return int(result["MAJOR"]), int(result["MINOR"])


def _register(library: ctypes.CDLL) -> str | None:
    """Registers the functions; returns what is wrong, or None."""
    try:
        # Before there is a CPU in JAX its functions are only put on a list, and one that
        # XLA refuses would keep the CPU from starting.
        jax.local_devices(backend="cpu")
        for name in FUNCTIONS:
            target = f"nwm_{name}"
            function = jax.ffi.pycapsule(getattr(library, target))
            jax.ffi.register_ffi_target(target, function, platform="cpu")
    except (RuntimeError, ValueError, TypeError) as error:
        return f"XLA refuses them: {str(error).splitlines()[0][:200]}"
    return None
