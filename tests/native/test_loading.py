"""Libraries that fit and libraries that do not: JAX works with all of them."""

import logging
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from nwm_jax import errors, native
from nwm_jax.modules import conv
from nwm_jax.native import build
from nwm_jax.shell import screen
from tests.helpers.native_library import needs_native

try:
    COMPILER = build.compiler()
except build.BuildError as error:
    COMPILER = None
    needs_compiler = pytest.mark.skip(reason=str(error))
else:
    needs_compiler = pytest.mark.skipif(False, reason="")

USE = """
import jax.numpy as jnp
from nwm_jax.modules import conv
y = conv.conv(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 3)))
assert y[0, 1, 1, 0] == 18
"""


def run_python(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def output_of(program, **environment):
    done = run_python(program, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def library_that_says(tmp_path):
    """Makes a library that says something of itself and can do nothing."""

    def make(version=None, sources=None, machine=None):
        own = ".".join(map(str, native.runtime_version()))
        said = [version or own, sources or build.sources_hash()]
        said.append(machine or platform.machine())
        source, library = tmp_path / "said.c", tmp_path / "said.so"
        source.write_text(f'const char* nwm_about() {{ return "{" ".join(said)}"; }}\n')
        command = [*COMPILER, "-x", "c", "-shared", "-fPIC", str(source)]
        subprocess.run([*command, "-o", str(library)], check=True)
        return library

    return make


@needs_compiler
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"version": "0.99"}, r"version 0\.99 of XLA's calls, jaxlib has \d+\.\d+"),
        ({"version": "9.9"}, r"version 9\.9 of XLA's calls"),
        ({"sources": "0123456789abcdef"}, "other sources"),
        ({"machine": "vax"}, "compiled for vax"),
    ],
)
def test_a_library_that_does_not_fit_is_named_and_left_alone(
    library_that_says, said, expected
):
    library, problem = native.load(library_that_says(**said))
    assert library is None
    assert re.search(expected, problem) and "\n" not in problem
    assert problem.endswith(f"{shlex.quote(sys.executable)} -m nwm_jax.native.build")


def test_files_that_are_no_such_library(tmp_path):
    assert "there is no" in native.load(tmp_path / "none.so")[1]
    (tmp_path / "text.so").write_text("no library")
    assert "another machine" in native.load(tmp_path / "text.so")[1]
    (tmp_path / "empty.so").write_bytes(b"")
    assert "another machine" in native.load(tmp_path / "empty.so")[1]


@needs_compiler
def test_a_library_of_something_else(tmp_path):
    (tmp_path / "other.c").write_text("int other() { return 1; }\n")
    library = tmp_path / "other.so"
    command = [*COMPILER, "-x", "c", "-shared", "-fPIC", str(tmp_path / "other.c")]
    subprocess.run([*command, "-o", str(library)], check=True)
    assert "another version of nwm_jax" in native.load(library)[1]


def test_a_jaxlib_that_does_not_say_its_version(tmp_path, monkeypatch):
    assert native.runtime_version() >= (0, 3)
    monkeypatch.setattr(jax.ffi, "include_dir", lambda: str(tmp_path))
    assert native.runtime_version() is None


NEWER = """
#include "xla/ffi/api/ffi.h"
namespace ffi = xla::ffi;
#define FUNCTION(NAME)                                            \\
  XLA_FFI_DEFINE_HANDLER_SYMBOL(nwm_##NAME,                       \\
                                [] { return ffi::Error::Success(); }, \\
                                ffi::Ffi::Bind());
"""


@pytest.mark.slow
@needs_compiler
def test_functions_for_a_newer_jax_do_not_break_this_one(tmp_path):
    """XLA refuses to start a CPU for which functions of version 9.9 are registered."""
    headers = tmp_path / "xla/ffi/api"
    shutil.copytree(build.FOLDER / "xla/ffi/api", headers)
    text = (headers / "c_api.h").read_text()
    text = re.sub(r"(#define XLA_FFI_API_M[A-Z]+) \d+", r"\1 9", text)
    (headers / "c_api.h").write_text(text)
    said = f"9.9 {build.sources_hash()} {platform.machine()}"
    functions = "".join(f"FUNCTION({name})\n" for name in native.FUNCTIONS)
    about = f'extern "C" const char* nwm_about() {{ return "{said}"; }}\n'
    (tmp_path / "newer.cc").write_text(NEWER + functions + about)
    library = tmp_path / "newer.so"
    command = [*COMPILER, "-std=c++17", "-shared", "-fPIC", f"-I{tmp_path}"]
    subprocess.run([*command, str(tmp_path / "newer.cc"), "-o", library], check=True)

    registered = run_python(f"""
import ctypes, jax
function = ctypes.CDLL({str(library)!r}).nwm_correlate
jax.ffi.register_ffi_target("nwm_correlate", jax.ffi.pycapsule(function), platform="cpu")
print(jax.numpy.ones(3) + 1)
""")
    assert registered.returncode and "API version" in registered.stderr

    program = f"""
import pathlib
from nwm_jax.native import build
build.LIBRARY = pathlib.Path({str(library)!r})
{USE}
from nwm_jax import native
print(jnp.ones(3) + 1, native.problem())
"""
    done = run_python(program)
    assert done.returncode == 0, done.stderr
    assert "[2. 2. 2.]" in done.stdout and "version 9.9" in done.stdout
    assert done.stderr.count("convolutions are not the compiled ones") == 1


def test_nothing_happens_at_import():
    program = """
import nwm_jax, nwm_jax.train, nwm_jax.modules.conv
from nwm_jax import native
from jax._src import xla_bridge
print(native._tried, bool(xla_bridge._backends))
"""
    assert output_of(program).split() == ["False", "False"]


@needs_native
def test_the_first_use_in_several_threads():
    program = """
import threading
import jax.numpy as jnp
from nwm_jax import native
from nwm_jax.modules import conv
results = []
def work(channels):
    y = conv.conv(jnp.ones((1, 4, 4, channels)), jnp.ones((3, 3, channels, 2)))
    results.append(y[0, 1, 1, 0] == 9 * channels)
threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 9)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(results), all(results), native.problem())
"""
    assert output_of(program).split() == ["8", "True", "None"]


@needs_native
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_the_first_use_in_a_forked_child():
    program = f"""
import os
import nwm_jax, nwm_jax.modules.conv
from nwm_jax import native
child = os.fork()
{USE}
assert native.available()
if child:
    print(os.waitpid(child, 0)[1])
"""
    assert output_of(program).split() == ["0"]


@pytest.fixture
def no_library(monkeypatch):
    monkeypatch.setattr(native, "_tried", True)
    monkeypatch.setattr(native, "_reported", False)
    monkeypatch.setattr(native, "_library", None)
    monkeypatch.setattr(native, "_problem", "convolutions are plain: none; do this")


def test_without_a_library_convolutions_are_plain_and_one_line_says_so(
    no_library, caplog
):
    x, kernel = jnp.ones((2, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    with caplog.at_level(logging.WARNING):
        assert conv.conv(x, kernel)[0, 1, 1, 0] == 9
        assert conv.upsample_conv(x, kernel)[0, 1, 1, 0] == 9
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["convolutions are plain: none; do this"]
    with pytest.raises(errors.UserError, match=r"conv=fast cannot be had.*do this"):
        conv.resolve("fast")
    assert any("do this" in note for note in screen.advice())


def test_what_was_said_by_a_verb_is_not_said_again(no_library, caplog):
    assert any("do this" in note for note in screen.advice())
    assert not native.available()
    assert not caplog.records


def test_fast_is_refused_on_accelerators(monkeypatch):
    monkeypatch.setattr(native, "problem", lambda: None)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(errors.UserError, match="made for CPUs, this is a gpu"):
        conv.resolve("fast")


@needs_native
def test_an_instruction_set_can_be_forced(monkeypatch):
    program = f"""
{USE}
from nwm_jax import native
print(native.instruction_sets())
"""
    assert "any" in output_of(program, NWM_JAX_ISA="any")
    done = run_python(USE, NWM_JAX_ISA="mmx")
    assert "UserError: NWM_JAX_ISA=mmx: choose one of any" in done.stderr


def test_without_a_compiler_the_build_says_so(tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.BuildError, match=r"no C\+\+ compiler.*CXX is not set"):
        build.build(tmp_path / "x.so")
    monkeypatch.setenv("CXX", "none-such -O1")
    with pytest.raises(build.BuildError, match="none-such"):
        build.build(tmp_path / "x.so")


@needs_compiler
def test_a_compiler_that_fails_leaves_the_old_library(tmp_path):
    library = tmp_path / "kept.so"
    library.write_text("old")
    (tmp_path / "conv.cc").write_text("not C++\n")
    with pytest.raises(build.BuildError, match=r"failed: .*error"):
        build.build(library, tmp_path)
    assert library.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"conv.cc", "kept.so"}


@needs_compiler
@pytest.mark.slow
def test_the_remedy_works_when_pasted(tmp_path, monkeypatch):
    """In a copy of the package, without a library, then with a stale one."""
    monkeypatch.chdir(tmp_path)  # the working directory comes first on the path
    ignore = shutil.ignore_patterns("__pycache__", "*.so")
    root = build.FOLDER.parent
    shutil.copytree(root, tmp_path / "nwm_jax", ignore=ignore)
    environment = {"PYTHONPATH": str(tmp_path)}
    say = "from nwm_jax import native; print(native.problem())"
    line = output_of(say, **environment)
    assert "there is no" in line
    command = line.rstrip().rpartition("this compiles them: ")[2]
    done = subprocess.run(
        command,
        shell=True,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert output_of(say, **environment).strip() == "None"
    with (tmp_path / "nwm_jax/native/cpu.h").open("a") as header:
        header.write("// changed\n")
    assert "other sources" in output_of(say, **environment)
