"""The GPUs of a sweep: one for each run, or a share of one."""

import gpus
import pytest

FRACTION = "XLA_PYTHON_CLIENT_MEM_FRACTION"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Gives `machine(n)`: n GPUs, as a stand-in for nvidia-smi lists them."""
    for name in (
        *("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", FRACTION),
        *("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE"),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def make(number):
        lines = [f"GPU {i}: NVIDIA H200 (UUID: GPU-{i})" for i in range(number)]
        lines += ["  MIG 1g.18gb Device 0: (UUID: MIG-0)"]
        text = "\n".join(lines)
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho '{text}'\n")
        (tmp_path / "nvidia-smi").chmod(0o755)

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
