#!/usr/bin/env bash
# All that only CUDA can show, in under ten minutes on a machine with one GPU and no network:
#
#     make gpu-wheels                                        # before, where there is a network
#     bash benchmarks/gpu_day.sh [--rehearse] [RESULTS]      # there; --rehearse: the same, tiny, on a CPU
#
# In order of worth: correctness, inference, training and what bounds it, compiled training; then pretrainings on jets
# that were simulated meanwhile, and events on a Dask cluster. Each step has a time limit of its own, and none stops
# another. RESULTS (build/gpu-day/brought-back unless given) gets few files, none above 16 MB: steps.txt, results.tar.gz
# with numbers and logs, which is renewed after every step, and run folders with weights.
#
# ONLY, a regular expression, names single steps to do, or to do again. PRETRAIN names what is pretrained at the same
# time, of pjepa-mini, pjepa-pure (without jet observables), pjepa-small, supervised-mini, jjepa-mini and study (the arms
# of training/studies/objective_study.py): more than two or three wait for one another. LONG is their time in seconds,
# by default what is left of TOTAL; STUDY that of each arm. pjepa-mini goes on from the run folder START, if that is there.
set -u
cd "$(dirname "$0")/.."
{ # Read to the end before anything runs: the file may change meanwhile.

REHEARSE=0
if [ "${1:-}" = --rehearse ]; then REHEARSE=1; shift; fi

PYTHON=${PYTHON:-python3}
WORK=build/gpu-day
RESULTS=$(realpath -m "${1:-$WORK/brought-back}")
WHEELS=build/gpu-wheels
CORES=$(env -u OMP_NUM_THREADS nproc) # nproc would answer with that
WORKERS=$((CORES > 4 ? CORES * 11 / 16 : CORES)) # the others feed the GPU
LARGEST=15900000
if [ $REHEARSE = 1 ]; then
    TOTAL=3000 PATIENCE=10 DEVICE=cpu PROVIDER=cpu # a CPU that others use as well
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # more of them wait for one another there, ten times as long
    INFERENCE="--provider cpu --sizes tiny --seconds 0.1"
    TRAINING="--sizes tiny --seconds 0.1 --device cpu --no-compile --no-profile"
    PROFILE="--sizes tiny --seconds 0.1 --device cpu --no-compile --only P-JEPA"
    COMPILED="--sizes tiny --seconds 0.1 --device cpu --compile --only none-on-a-cpu"
    COMPILED_MINI=$COMPILED LARGE="$PROFILE --no-profile"
    SIMULATED=1500 JETS=40 JETS_A_FILE=20 EVENTS=60
    COMMON="steps=10 data.batch_size=16 monitor_every=5 checkpoint_every=10"
    SMALL="" MINI="" SUPERVISED="" JJEPA="encoder.blocks=2"
    STUDY_LENGTH="--steps 3 --arms agreement mpm --seeds 0 --jobs 1"
    DASK="--chunksize 20"
    PRETRAIN=${PRETRAIN:-pjepa-mini pjepa-small supervised-mini jjepa-mini study}
else
    TOTAL=${TOTAL:-570} PATIENCE=1 DEVICE=cuda PROVIDER=cuda
    INFERENCE="--provider cuda --sizes published mini small --seconds 0.3 --limit 110"
    TRAINING="--sizes published mini small --batch 1024 --seconds 0.7 --no-compile --no-profile --limit 60"
    PROFILE="--sizes published mini --batch 1024 --seconds 0.2 --no-compile --only P-JEPA --limit 30"
    COMPILED="--sizes published --batch 1024 --seconds 0.7 --compile --only P-JEPA --limit 100"
    COMPILED_MINI="--sizes mini --batch 8192 --seconds 0.7 --compile --only P-JEPA --limit 100"
    # The host needs as long for a step of 1024 jets as for one of 4096, and 10 GiB hold 4096.
    LARGE="--sizes mini --batch 16384 --seconds 0.7 --no-compile --no-profile --only P-JEPA"
    SIMULATED=${SIMULATED:-330} JETS=220000 JETS_A_FILE=4000 EVENTS=2000
    # Compiling takes minutes, of five.
    COMMON="steps=1000000000 optimiser.warmup=0.03 compile=false data.workers=4 monitor_every=2000 checkpoint_every=2000"
    SMALL="data.batch_size=512 optimiser.lr=1e-3"
    MINI="data.batch_size=1024"
    SUPERVISED="data.batch_size=512"
    JJEPA="data.batch_size=1024 optimiser.lr=1e-3"
    STUDY_LENGTH="--minutes $(awk "BEGIN {print ${STUDY:-65} / 60}") --seeds 0 1 2 --jobs 4"
    DASK="--chunksize 1000"
fi
# Without observables, and without these weights, embeddings collapsed on an H100; with them it has not run there.
PURE="objective.weights.observables=0 objective.weights.variance=1 objective.weights.covariance=0.02"
START=${START:-build/gpu-start}
COMMON="$COMMON keep_in_memory=true data.val_fraction=0.01 data.test_fraction=0 log_every=$([ $REHEARSE = 1 ] && echo 2 || echo 100)"

[ -n "${ONLY:-}" ] || rm -rf "$WORK"/{logs,encoders,gpu,runs,packed,jets,shards,subjets,study,site}
mkdir -p "$WORK/logs" "$WORK/gpu" "$WORK/runs" "$RESULTS"
[ -n "${ONLY:-}" ] || : > "$RESULTS/steps.txt"
CARD=$(nvidia-smi --query-gpu=name --format=csv,noheader 2> /dev/null | head -1 | tr -c 'A-Za-z0-9\n' '-')
CARD=${CARD:-no-GPU}
export PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=3 REHEARSE

# note NAME SECONDS WHAT: a line of steps.txt, and everything so far into the archive
note() {
    printf '%4d s  %-22s %4d s  %s\n' "$SECONDS" "$1" "$2" "$3" | tee -a "$RESULTS/steps.txt"
    local part="$RESULTS/.part-$BASHPID" # steps that run at the same time end when they like
    tar -czf "$part" -C "$WORK" logs gpu 2> /dev/null
    mv "$part" "$RESULTS/results.tar.gz"
}

# wanted NAME: whether a step is to be done
wanted() { [ -z "${ONLY:-}" ] || [[ $1 =~ $ONLY ]]; }

# step NAME LIMIT COMMAND...: run it for at most LIMIT seconds, and no longer than all may take
step() {
    local name=$1 most=$(($2 * PATIENCE)) begin=$SECONDS status
    shift 2
    if wanted "$name"; then :; else return 0; fi
    if [ "$most" -gt $((TOTAL - SECONDS)) ]; then most=$((TOTAL - SECONDS)); fi
    if [ "$most" -lt 5 ]; then note "$name" 0 "not started: out of time"; return 1; fi
    timeout --kill-after=5 "$most" "$@" > "$WORK/logs/$name.log" 2>&1
    status=$?
    case $status in
        0) note "$name" $((SECONDS - begin)) ok ;;
        124 | 137) note "$name" $((SECONDS - begin)) "cut off after its $most s" ;;
        *) note "$name" $((SECONDS - begin)) "FAILED ($status): $(tail -n 1 "$WORK/logs/$name.log" | cut -c -200)" ;;
    esac
    return $status
}

# Packages that the machine lacks, into a folder of their own in front of the others; CUDA's libraries come with torch.
if ls "$WHEELS"/*.whl > /dev/null 2>&1 && [ $REHEARSE = 0 -o "${WITH_WHEELS:-0}" = 1 ]; then
    [ -d "$WORK/site" ] || ONLY= step install 60 "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir \
        --target "$WORK/site" "$WHEELS"/*.whl
    PYTHONPATH=$PWD/$WORK/site:${PYTHONPATH:-}
    export PYTHIA8DATA=$PWD/$WORK/site/share/Pythia8/xmldoc # it looks for it beside Python
fi
export PYTHONPATH=$PWD:${PYTHONPATH:-}
LIBRARIES=$("$PYTHON" - << 'END'
import importlib.util, pathlib
torch = importlib.util.find_spec("torch")
folders = pathlib.Path(torch.origin).parents[1].glob("nvidia/*/lib") if torch else []
print(":".join(map(str, folders)))
END
)
export LD_LIBRARY_PATH=$LIBRARIES:${LD_LIBRARY_PATH:-}
step machine 20 bash -c "nvidia-smi; $PYTHON -m benchmarks.machine; $PYTHON -m pip list 2> /dev/null"

# on CORES: what follows in this shell runs there only, where there are enough: threads that share a core wait for one another
on() { [ "$CORES" -le 4 ] || taskset -cp "$1" $BASHPID > /dev/null; }

# Events, and jets of many classes until SIMULATED seconds have passed (whole files stay), on cores of their own; then
# shards, which are read five times as fast as files of jets. For subjets and the study a part of them is enough.
simulate() {
    local begin=$SECONDS
    on 0-$((WORKERS - 1))
    timeout $((150 * PATIENCE)) "$PYTHON" examples/simulate.py --process qcd --mjj-min 1000 --events $EVENTS --workers 2 \
        --output "$WORK/qcd.root" > "$WORK/logs/simulate-events.log" 2>&1 &
    timeout $((SIMULATED - SECONDS)) "$PYTHON" examples/simulate.py --format jetclass2 --families all --jets $JETS \
        --jets-per-file $JETS_A_FILE --seed 21 --workers "$WORKERS" --output "$WORK/jets" > "$WORK/logs/simulate-jets.log" 2>&1
    note simulation $((SECONDS - begin)) "$(find "$WORK/jets" -name '*.root' 2> /dev/null | wc -l) files of $JETS_A_FILE jets"
    wait
    prepare
}
prepare() {
    local few=$([ $REHEARSE = 1 ] && echo '*.root' || echo '*_00?.root')
    step shards 90 "$PYTHON" training/prepare.py --data "$WORK/jets/*.root" --output "$WORK/shards" --workers "$WORKERS" &
    if [[ " $PRETRAIN " = *" jjepa-mini "* ]]; then
        step subjets 90 "$PYTHON" training/prepare.py --subjets --data "$WORK/jets/$few" --output "$WORK/subjets" \
            --workers "$WORKERS" &
    fi
    wait
}
PRETRAIN=${PRETRAIN:-pjepa-mini pjepa-small}
if wanted simulation; then ONLY= simulate & SIMULATION=$!; fi
on $WORKERS-$((CORES - 1))
[ "$CORES" -le 4 ] || export OMP_NUM_THREADS=2 TORCHINDUCTOR_COMPILE_THREADS=2

# What needs no quiet: the tests, and encoders and compiled kernels that are made for the measurements.
export_encoders() {
    step encoders 130 "$PYTHON" -c "
from pathlib import Path
from benchmarks.inference.setup import prepare
for size in '$INFERENCE'.split('--sizes ')[1].split(' --')[0].split():
    prepare(size, Path('$WORK/encoders'), ('fp16',))"
}
tests() {
    local name=$1
    shift
    step "correctness-$name" 150 "$PYTHON" -m pytest -m gpu "$@" -v -p no:cacheprovider --timeout $((140 * PATIENCE)) \
        --timeout-method thread --durations 5 --tb short --show-capture no
}
if wanted correctness; then
    tests inference tests/gpu/test_inference.py & TESTS=$!
    tests training tests/gpu/test_training.py -k "not compiled_against" & TESTS="$TESTS $!"
fi
if wanted inference; then export_encoders & TESTS="${TESTS:-} $!"; fi
if wanted compiled; then
    step compiling 130 "$PYTHON" -m benchmarks.training $COMPILED --no-profile & TESTS="${TESTS:-} $!"
    step compiling-mini 130 "$PYTHON" -m benchmarks.training $COMPILED_MINI --no-profile & TESTS="$TESTS $!"
fi
[ -z "${TESTS:-}" ] || wait $TESTS
step inference 120 "$PYTHON" -m benchmarks.gpu.inference --output "$WORK/gpu/$CARD-inference.json" --models "$WORK/encoders" $INFERENCE
step training 75 "$PYTHON" -m benchmarks.training --output "$WORK/gpu/$CARD-training.json" $TRAINING
step profile 50 "$PYTHON" -m benchmarks.training --output "$WORK/gpu/$CARD-training-profile.json" $PROFILE
step training-large 60 "$PYTHON" -m benchmarks.training --output "$WORK/gpu/$CARD-training-large.json" $LARGE
step compiled 60 "$PYTHON" -m benchmarks.training --output "$WORK/gpu/$CARD-training-compiled.json" $COMPILED
step compiled-mini 60 "$PYTHON" -m benchmarks.training --output "$WORK/gpu/$CARD-training-mini.json" $COMPILED_MINI
[ -z "${SIMULATION:-}" ] || wait "$SIMULATION"
on 0-$((CORES - 1))

# lean NAME [WORDS]: the run folder NAME without the state of its optimiser, for bringing it back
lean() {
    local run=$1 to=$WORK/packed/$(basename "$1") newest
    shift
    newest=$(find "$run" -name 'checkpoint-*.pt' 2> /dev/null | sort | tail -n 1)
    [ -n "$newest" ] || return
    mkdir -p "$to"
    cp "$run/config.yaml" "$run/metrics.jsonl" "$to"
    cp "$run"/*.status.json "$to" 2> /dev/null
    "$PYTHON" -m benchmarks.gpu.weights "$newest" "$to/$(basename "$newest")" "$@"
}
# pack NAME RUN...: what lean made of some runs, into one file of RESULTS
pack() {
    local name=$1 size
    shift
    tar -czf "$WORK/$name.tar.gz" -C "$WORK/packed" "$@" 2> "$WORK/logs/pack-$name.log"
    size=$(stat -c %s "$WORK/$name.tar.gz")
    if [ "$size" -le $LARGEST ]; then cp "$WORK/$name.tar.gz" "$RESULTS"; else note "$name" 0 "left there: $size bytes"; fi
}
# pretrain NAME SECONDS CONFIG SHARDS SETTINGS...
pretrain() {
    local name=$1 seconds=$2 config=training/configs/$3.yaml data=$4 length=
    shift 4
    [ $REHEARSE = 1 ] || length="--max-minutes $(awk "BEGIN {print $seconds / 60}")"
    step "pretrain-$name" $((seconds + 75)) "$PYTHON" training/pretrain.py --config "$config" --data "$data" \
        --output "$WORK/runs/$name" --device $DEVICE $length --set "name=$name" $COMMON "$@"
}
embed_events() {
    step dask 100 "$PYTHON" -m benchmarks.gpu.dask_embedding "$WORK/qcd.root" --model jepa_coffea/models/pjepa-mini-4.onnx \
        --output "$WORK/gpu/$CARD-dask.json" --provider $PROVIDER $DASK
}
study() {
    local jets="$WORK/shards/*_00[0-4]-*"
    step study $((${STUDY:-65} + 90)) env OMP_NUM_THREADS=1 "$PYTHON" training/studies/objective_study.py --data "$jets" --test "$jets" \
        --output "$WORK/study" --device $DEVICE --part pretrain $STUDY_LENGTH \
        --set keep_in_memory=true data.val_fraction=0 data.test_fraction=0 data.batch_size=$([ $REHEARSE = 1 ] && echo 16 || echo 256) log_every=100
}
pretrain_all() {
    # 75 seconds to start and to bring everything back
    local long=${LONG:-$((TOTAL - SECONDS - 75))} name seed
    if [ "$long" -lt 30 ]; then note pretrain 0 "not started: out of time, see benchmarks/README.md"; PRETRAIN=; fi
    for name in $PRETRAIN; do
        case $name in
            pjepa-small) pretrain "$name" "$long" pjepa_small "$WORK/shards" $SMALL & ;;
            pjepa-mini) pretrain "$name" "$long" pjepa_mini "$WORK/shards" $MINI $([ -d "$START" ] && echo "start_from=$START") & ;;
            pjepa-pure) pretrain "$name" "$long" pjepa_mini "$WORK/shards" $MINI $PURE & ;;
            supervised-mini) pretrain "$name" "$long" supervised_mini "$WORK/shards" $SUPERVISED & ;;
            jjepa-mini) pretrain "$name" "$long" jjepa "$WORK/subjets" $JJEPA & ;;
            study) study & ;;
            *) note "$name" 0 "FAILED: not known" ;;
        esac
    done
    embed_events &
    tests compiled tests/gpu/test_training.py -k compiled_against & # which compiles for minutes
    wait
    for name in "$WORK"/study/*-[0-9]; do lean "$name" --encoder --half & done
    for name in "$WORK"/runs/*; do
        case $name in *-small | */jjepa-*) lean "$name" --encoder & ;; *) lean "$name" & ;; esac
    done
    wait
    for name in $(ls "$WORK/runs"); do pack "$name" "$name"; done
    for seed in 0 1 2; do
        name=$(cd "$WORK/packed" && ls -d ./*-$seed 2> /dev/null)
        [ -z "$name" ] || pack "study-$seed" $name
    done
}
if wanted pretrain; then
    export OMP_NUM_THREADS=1 PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True
    ONLY= pretrain_all
fi
note all "$SECONDS" "results in $RESULTS"

for log in correctness-inference correctness-training correctness-compiled inference training training-large profile compiled dask; do
    echo "== $log"
    tail -n 40 "$WORK/logs/$log.log" 2> /dev/null
done
for log in "$WORK"/logs/pretrain-*.log "$WORK"/logs/study.log; do echo "== $log"; tail -n 6 "$log"; done
! grep -q FAILED "$RESULTS/steps.txt"
exit
}
