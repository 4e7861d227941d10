#!/usr/bin/env bash
# Trains small forecasters of the spring that differ in their coupling, four kinds and
# several seeds, for docs/results/waves: do models whose states travel forecast better?
#
#     launch/wave_study.sh runs/wave_study "0 1 2"
#     python -m nwm_jax.table --runs='runs/wave_study/*' --waves
#
# Run the same command again to go on: what is finished is skipped.
set -euo pipefail
out=$1
seeds=${2:-"0 1 2"}
python=${PYTHON:-python}
common=batch_size=4,num_steps=1000,log_every=100,checkpoint_every=500,optimizer.warmup_steps=40
common+=,data.num_train=1000,data.num_test=200,data.num_frames=96,model.grid="(8,8)"
common+=,model.num_target=24,eval.horizon=60,eval.num_windows=64,eval.num_vpt=64
for seed in $seeds; do
    for kind in nwm2d nwm1d cornn uncoupled; do
        model=$kind extra=
        if [ "$kind" = uncoupled ]; then
            # A kernel of 1: every oscillator hears itself alone.
            model=nwm2d extra=,model.kernel_size=1
        fi
        folder=$out/${kind}_$seed
        [ -e "$folder/eval.json" ] && continue
        "$python" -m nwm_jax.train --config="spring_$model:smoke,seed=$seed,$common$extra" \
            --workdir="$folder"
    done
done
