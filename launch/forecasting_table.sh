#!/usr/bin/env bash
# The runs behind docs/results/table.md and tuning.md, a stage at a time:
#
#     launch/forecasting_table.sh tuning     learning rates of six models: 48 runs, 1,500 steps
#     launch/forecasting_table.sh laptop     five datasets, six models, three seeds: 90 runs
#     launch/forecasting_table.sh fair       the same frames for all models: 36 runs
#     launch/forecasting_table.sh ablations  NWM 2D without one of its parts: 18 runs
#     launch/forecasting_table.sh night      40,000 steps: 6 runs
#     python -m nwm_jax.table --runs='docs/results/table/laptop-v2+num_steps=1500*/*' --measure=tuning
#     python -m nwm_jax.table --runs='docs/results/table/laptop-v2/*'
#
# Arguments after the stage go to launch/sweep.py, such as --jobs=2, --dry_run or
# --datasets=spring. RATES="8e-3" launch/forecasting_table.sh tuning --models=hgn goes on
# with the search of one model. Results go to docs/results/table; run the same command
# again to go on: what is finished, here or there, is skipped.
set -euo pipefail
stage=${1:?"a stage: tuning, laptop, fair, ablations or night"}
shift
out=${OUT:-runs/table}
kept=${KEPT:-docs/results/table}

# sweep FOLDER ARGUMENTS: the defaults first, so that later arguments replace them.
sweep() {
    local folder=$1
    shift
    "${PYTHON:-python}" launch/sweep.py --keep="$kept" --done="$kept/**" \
        --out="$out/$folder" "$@"
}

case $stage in
tuning)
    failed=0
    for rate in ${RATES:-5e-4 1e-3 2e-3 4e-3}; do
        sweep "tuning/$rate" --datasets=spring,pendulum --seeds=100 --preset=laptop \
            --validate "$@" num_steps=1500 optimizer.learning_rate="$rate" || failed=1
    done
    exit $failed
    ;;
laptop)
    sweep laptop --seeds=0,1,2 --preset=laptop "$@" eval.every=500
    ;;
fair)
    sweep fair --datasets=spring,pendulum --seeds=0,1,2 --preset=fair_laptop "$@" \
        eval.every=500
    ;;
ablations)
    failed=0
    for change in model.kernel_size=1 model.num_ic=0 model.decode=x; do
        sweep "ablations/$change" --datasets=spring,pendulum --models=nwm2d \
            --seeds=0,1,2 --preset=laptop "$@" eval.every=500 "$change" || failed=1
    done
    exit $failed
    ;;
night)
    sweep night --datasets=spring,pendulum --models=nwm1d,nwm2d,hgn --preset=night "$@"
    ;;
*)
    echo "error: no stage $stage: tuning, laptop, fair, ablations or night" >&2
    exit 2
    ;;
esac
