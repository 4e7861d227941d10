#!/usr/bin/env bash
# Trains with N processes on this machine; they find each other over loopback.
#
#   launch/local.sh 2 --config=configs/pendulum_nwm2d.py:smoke --workdir=runs/two
#
# Without a GPU the processes talk by Gloo. With GPUs, process i takes GPU i.
# Ctrl-C and SIGTERM reach all of them: they save and end, and the same command goes on.
# The exit code is 0 if all ended well, else that of the first in order that did not.
# A run that a signal ended is one that ended well: set NWM_JAX_PREEMPTED_EXIT to another
# code to tell it from one that is finished.
set -euo pipefail

if [[ $# -lt 2 || ! $1 =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: $0 N --config=... --workdir=... (N: number of processes)" >&2
  exit 2
fi
number=$1
shift

port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export JAX_COORDINATOR_ADDRESS=127.0.0.1:$port JAX_NUM_PROCESSES=$number

export NWM_JAX_PREEMPTED_EXIT=${NWM_JAX_PREEMPTED_EXIT:-0}

# On CPUs a step takes about an eighth less time with huge pages.
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}

pids=()
trap 'interrupted=1; kill -TERM "${pids[@]}" 2> /dev/null || true' TERM INT
for ((i = 0; i < number; i++)); do
  if command -v nvidia-smi > /dev/null; then
    export CUDA_VISIBLE_DEVICES=$i
  fi
  JAX_PROCESS_ID=$i python -m nwm_jax.train "$@" &
  pids+=($!)
done

code=0
for i in "${!pids[@]}"; do
  # A trapped signal ends `wait` early, with a code of its own: wait again.
  interrupted=1
  while ((interrupted)); do
    interrupted=0 ended=0
    wait "${pids[i]}" || ended=$?
  done
  if ((ended && !code)); then
    code=$ended
    echo "process $i ended with code $ended; its own lines say why" >&2
  fi
done
exit "$code"
