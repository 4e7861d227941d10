"""What other systems lack: the package must import there all the same."""

import subprocess
import sys

# Modules and functions that Windows does not have, as seen from this package alone.
PROGRAM = """
import builtins, os, pkgutil, sys
MISSING = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"}
plain = builtins.__import__

def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    asking = (globals or {}).get("__name__", "")
    if name.partition(".")[0] in MISSING and asking.startswith("nwm_jax"):
        raise ModuleNotFoundError(f"{asking} imports {name}")
    return plain(name, globals, locals, fromlist, level)

def no_sysconf(name, plain=os.sysconf):
    if sys._getframe(1).f_globals["__name__"].startswith("nwm_jax"):
        raise AttributeError("module 'os' has no attribute 'sysconf'")
    return plain(name)

builtins.__import__, os.sysconf = guarded, no_sysconf
import nwm_jax
for found in pkgutil.walk_packages(nwm_jax.__path__, "nwm_jax."):
    if not found.name.endswith(("__main__", "._conv")):
        __import__(found.name)
from nwm_jax import files
assert files.machine_memory() == float("inf")
print("imported")
"""


def test_nothing_needs_what_windows_and_macos_lack():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("imported\n"), done.stderr[-2_000:]
