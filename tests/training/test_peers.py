"""What the loss of a process is, and what several processes say to each other."""

import json

import jax
import pytest

from nwm_jax.errors import UserError
from nwm_jax.training import mesh, peers

# As real runs gave them: JAX 0.10.2 on CPUs, and NCCL's words.
LOST = [
    (
        "UNKNOWN: Gloo AllGather failed: [external/gloo/gloo/transport/tcp/pair.cc:547] "
        "Connection closed by peer [127.0.0.1]:17052"
    ),
    (
        "UNKNOWN: Gloo all-reduce failed: [external/gloo/gloo/transport/tcp/pair.cc:534] "
        "Read error [127.0.0.1]:1: Connection reset by peer"
    ),
    (
        "UNKNOWN: Gloo all-reduce failed: [external/gloo/gloo/transport/tcp/"
        "unbound_buffer.cc:78] Timed out waiting 30000ms for recv operation to complete"
    ),
    "UNAVAILABLE: Failed to send RPC to coordination service.",
    "DEADLINE_EXCEEDED: Barrier timed out. Id: a barrier",
    "ABORTED: The task has been terminated",
    (
        "INTERNAL: NCCL operation ncclGroupEnd() failed: remote process exited or there was "
        "a network error"
    ),
]
OTHERS = [
    "RESOURCE_EXHAUSTED: Out of memory allocating 1099511627776 bytes.",
    "INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered",
    "INTERNAL: CpuCallback error: ValueError: the file was UNAVAILABLE: to us",
    "INVALID_ARGUMENT: Executable expected shape f32[3] for argument 0 but got f32[4]",
    "UNKNOWN: Gloo AllGather failed: [enforce fail at allgather.cc:20] size mismatch",
    "FAILED_PRECONDITION: nan found in the output of a jitted function",
]


@pytest.mark.parametrize("text", LOST)
def test_a_lost_process(text, monkeypatch):
    error = jax.errors.JaxRuntimeError(text)
    assert not mesh.is_lost_peer(error)  # of one process
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert mesh.is_lost_peer(error)
    assert not mesh.is_lost_peer(ValueError(text))


@pytest.mark.parametrize("text", OTHERS)
def test_no_lost_process(text, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert not mesh.is_lost_peer(jax.errors.JaxRuntimeError(text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SLURM_STEP_NUM_TASKS", "abc"),
        ("OMPI_COMM_WORLD_SIZE", "2.5"),
        ("JAX_NUM_PROCESSES", "two"),
        ("JAX_PROCESS_ID", "-1"),
        ("JAX_NUM_PROCESSES", "0"),
        ("JAX_NUM_PROCESSES", "9" * 5000),
    ],
)
def test_a_variable_that_is_no_number_is_named(name, text, monkeypatch):
    usual = {
        "JAX_COORDINATOR_ADDRESS": "127.0.0.1:1",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": "1",
    }
    for variable, value in (usual | {name: text}).items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=f"^{name}=") as error:
        mesh.initialize_distributed()
    assert len(str(error.value)) <= 300


class Service:
    """Stands for the coordination service's keys and values."""

    def __init__(self, texts):
        self.texts = dict(texts)

    def key_value_set(self, key, text):
        assert key not in self.texts
        self.texts[key] = text

    def blocking_key_value_get(self, key, milliseconds):
        return self.texts[key]


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"seed": "0", "data.cache_dir": "'elsewhere'"}, ""),
        ({"seed": "5"}, "process 1 has another config than process 0 (seed=5, not 0)"),
        ({"seed": "0", "new": "1"}, "new=1, not (none)"),
    ],
)
def test_all_processes_must_have_one_config(other, problem, monkeypatch):
    service = Service({"nwm_jax/config/1": json.dumps(other)})
    monkeypatch.setattr(peers, "_service", lambda: (service, 0, 2))
    if not problem:
        service.texts["nwm_jax/config/1"] = json.dumps({"seed": "0"})
        peers.check_same({"seed": 0, "data.cache_dir": "here"})
        return
    with pytest.raises(UserError) as error:
        peers.check_same({"seed": 0})
    assert problem in str(error.value)
    # The other one reads the same.
    del service.texts["nwm_jax/config/1"]
    monkeypatch.setattr(peers, "_service", lambda: (service, 1, 2))
    with pytest.raises(UserError) as error:
        peers.check_same({"seed": 5})
    assert problem in str(error.value)


def test_a_run_of_one_process_has_one_config():
    assert not peers.several()
    peers.check_same({"seed": 0})
    shown = []
    peers.fail("a line", 2, lambda: shown.append("a line"))
    assert shown == ["a line"]
    peers.finish()
