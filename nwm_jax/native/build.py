"""Compiles the convolutions: ``python -m nwm_jax.native.build``, or by setup.py.

Nothing but a C++ compiler is needed: the headers of XLA's calls lie in `xla/`, those of
the oldest jaxlib that is supported, so that the library runs with it and with all later
ones of the same major version. Imports the standard library alone.
"""

import hashlib
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

FOLDER = pathlib.Path(__file__).parent
# No Python module: one library for all versions of Python and of JAX.
LIBRARY = FOLDER / "_conv.so"

_COMPILERS = ("c++", "g++", "clang++")
_FLAGS = (
    *("-std=c++17", "-O3", "-ffp-contract=fast", "-g0"),
    *("-shared", "-fPIC", "-pthread"),
)


class BuildError(Exception):
    """No compiler, or one that fails; the message is one line."""


def sources(folder: pathlib.Path = FOLDER) -> list[pathlib.Path]:
    """Returns the C++ files of a folder, XLA's headers included."""
    return sorted([*folder.glob("*.cc"), *folder.rglob("*.h")])


def sources_hash(folder: pathlib.Path = FOLDER) -> str:
    """Returns a hash of the C++ files and the flags, which the library carries too."""
    digest = hashlib.sha256(" ".join(_FLAGS).encode())
    for path in sources(folder):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"\n{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def compiler() -> list[str]:
    """Returns the command of the C++ compiler: $CXX, or the first that is installed.

    Raises:
      BuildError: there is none.
    """
    if command := shlex.split(os.environ.get("CXX", "")):
        if shutil.which(command[0]):
            return command
        raise BuildError(f"CXX={os.environ['CXX']}: no such compiler")
    for name in _COMPILERS:
        if shutil.which(name):
            return [name]
    raise BuildError(
        f"no C++ compiler ({', '.join(_COMPILERS)}) is installed and CXX is not set"
    )


def build(
    library: pathlib.Path = LIBRARY,
    folder: pathlib.Path = FOLDER,
    flags: Sequence[str] = (),
) -> None:
    """Compiles a folder's ``conv.cc``; a library that stands there is replaced at once.

    Args:
      library: the file to write.
      folder: where the sources are.
      flags: more of them for the compiler, such as those of a sanitizer.

    Raises:
      BuildError: no compiler, one that fails, or a folder that cannot be written.
    """
    new = library.with_name(f"{library.name}.{os.getpid()}")
    command = [
        *compiler(),
        *_FLAGS,
        *flags,
        f"-I{folder}",
        f'-DNWM_SOURCES="{sources_hash(folder)}"',
        f'-DNWM_MACHINE="{platform.machine()}"',
        str(folder / "conv.cc"),
        "-o",
        str(new),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = done.stderr.splitlines() or [f"exit code {done.returncode}"]
            line = next((line for line in lines if "error" in line), lines[0])
            raise BuildError(f"{command[0]} failed: {line.strip()[:200]}")
        new.replace(library)
    except OSError as error:
        raise BuildError(f"cannot write {library}: {error.strerror}") from None
    finally:
        new.unlink(missing_ok=True)


def main() -> None:
    """Compiles the library into the folder of the installed package."""
    try:
        build()
    except BuildError as error:
        print(f"the convolutions were not compiled: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"compiled {LIBRARY}")


if __name__ == "__main__":
    main()
