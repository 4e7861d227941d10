"""Runs that take no time."""

import sys

from jobs import Job

# Stands for training: counts to 60 in its workdir, saves where a SIGTERM finds it, and
# writes eval.json at the end. With a number as second argument it fails with that code;
# with names, it waits until they have begun.
PROGRAM = """
import json, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
print("began", folder.name, flush=True)
if sys.argv[2:] and sys.argv[2].isdigit():
    print("a line", "out of luck", sep="\\n")
    sys.exit(int(sys.argv[2]))
called = []
signal.signal(signal.SIGTERM, lambda *_: called.append(1))
count = folder / "count"
start = int(count.read_text()) if count.exists() else 0
for i in range(start, 60):
    count.write_text(str(i))
    while not all((folder.parent / name).exists() for name in sys.argv[2:]):
        time.sleep(0.005)
    if called:
        sys.exit(0)
    time.sleep(0.001)
with (folder / "runs").open("a") as log:
    log.write(f"from {start}\\n")
(folder / "eval.json").write_text(json.dumps({"step": 60, "protocol": "fake", "name": "", "seed": 0}))
"""


def job(folder, name, *arguments):
    """A job whose workdir is `folder / name`."""
    command = [sys.executable, "-S", "-c", PROGRAM, str(folder / name), *arguments]
    return Job(folder / name, command, 60, "fake")
