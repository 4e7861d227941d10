"""The GPUs of a sweep: one for each run, or a share of one."""

import gpus
import pytest

from nwm_jax.errors import UserError

FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Returns `machine(n)`: n GPUs, as a stand-in for nvidia-smi lists them."""
    for name in (
        *("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", FRACTION),
        *("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def make(number):
        lines = [f"GPU {i}: NVIDIA H200 (UUID: GPU-{i})" for i in range(number)]
        says("\n".join(lines))

    def says(text, code=0):
        script = f"#!/bin/sh\necho '{text}'\nexit {code}\n"
        (tmp_path / "nvidia-smi").write_text(script)
        (tmp_path / "nvidia-smi").chmod(0o755)

    make.says = says
    return make


def test_two_runs_on_one_gpu_divide_its_memory(machine):
    machine(1)
    slots = gpus.environments(2)
    assert slots == [{"CUDA_VISIBLE_DEVICES": "0", FRACTION: "0.45"}] * 2


def test_each_run_has_a_gpu_while_there_are_enough(machine):
    machine(4)
    assert gpus.environments(1) == [{}]
    assert gpus.environments(2) == [{"CUDA_VISIBLE_DEVICES": n} for n in "01"]
    slots = gpus.environments(6)
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots] == list("012301")
    fractions = [slot.get(FRACTION) for slot in slots]
    assert fractions == ["0.45", "0.45", None, None, "0.45", "0.45"]


def test_the_gpus_and_the_memory_that_the_user_has_chosen(machine, monkeypatch):
    machine(4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-7")
    slots = gpus.environments(3)
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots] == ["3", "GPU-7", "3"]
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    assert all(FRACTION not in slot for slot in gpus.environments(3))


@pytest.mark.parametrize(
    ("name", "value"), [("JAX_PLATFORMS", "cpu"), ("CUDA_VISIBLE_DEVICES", "-1")]
)
def test_runs_without_a_gpu(name, value, machine, monkeypatch):
    machine(1)
    monkeypatch.setenv(name, value)
    assert gpus.environments(2) == [{}, {}]


DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-5d5ba0d6-d33d-2b2c/2/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-0c757cd7-e942-5726-a0b8-0e8fb7067135)"""


def test_instances_of_a_divided_gpu_count_each(machine):
    machine.says(DIVIDED)
    assert gpus.visible() == [
        "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f",
        "MIG-GPU-5d5ba0d6-d33d-2b2c/2/0",
        "1",
    ]
    fractions = [slot.get(FRACTION) for slot in gpus.environments(4)]
    assert fractions == ["0.45", None, None, "0.45"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("No devices were found", 0),
        ("NVIDIA-SMI has failed because it could not talk to the driver.", 9),
        ("GPU 0: Unknown Error", 15),
        ("", 0),
    ],
)
def test_no_gpu_that_works(text, code, machine):
    machine.says(text, code)
    assert gpus.environments(2) == [{}, {}]


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ("0, 2", ["0", "2"]),
        ("GPU-5d5b,MIG-c6d4f1ef-42e4", ["GPU-5d5b", "MIG-c6d4f1ef-42e4"]),
        ("1,-1,0", ["1"]),
        ("NoDevFiles", []),
        ("", []),
    ],
)
def test_names_that_cuda_knows(chosen, names, machine, monkeypatch):
    machine(4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert gpus.visible() == names


def test_a_driver_that_hangs_is_one_line(machine, monkeypatch, tmp_path):
    machine(1)
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexec /bin/sleep 20\n")
    monkeypatch.setattr(gpus, "_SECONDS", 0.2)
    with pytest.raises(UserError, match=r"^nvidia-smi -L .* CUDA_VISIBLE_DEVICES$"):
        gpus.visible()
