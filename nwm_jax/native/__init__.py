"""What is compiled when the package is installed: functions in C++ that XLA calls.

Each is a custom call of XLA on CPUs (`jax.ffi`); the modules that use them say what they
compute. Where there was no compiler there are none, and `AVAILABLE` is False.
"""

import ctypes
import importlib.machinery
import pathlib

import jax

REMEDY = (
    "nwm_jax was installed without a C++ compiler; with one, install it again "
    "(pip install --force-reinstall --no-deps ...)"
)

_OPERATIONS = ("correlate", "spread", "upsample")
_FUNCTIONS = (
    *_OPERATIONS,
    *(f"{name}_gradients" for name in _OPERATIONS),
    "kernel_gradient",
)


def load(folder: pathlib.Path) -> bool:
    """Tells XLA of the functions of a folder's library; False if there is none.

    Raises:
      ImportError: the library lacks some of them.
    """
    names = [f"_conv{suffix}" for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    path = next((folder / name for name in names if (folder / name).exists()), None)
    if path is None:
        return False
    library = ctypes.CDLL(str(path))
    for name in _FUNCTIONS:
        target = f"nwm_{name}"
        try:
            function = getattr(library, target)
        except AttributeError:
            raise ImportError(
                f"{path} was compiled from other sources than these: "
                "install nwm_jax again"
            ) from None
        jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(function), platform="cpu")
    return True


AVAILABLE = load(pathlib.Path(__file__).parent)
