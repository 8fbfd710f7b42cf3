#!/usr/bin/env bash
# All that only CUDA can show, in under ten minutes on a machine with one GPU and no network:
#
#     make gpu-wheels                                        # before, where there is a network
#     bash benchmarks/gpu_day.sh [--rehearse] [RESULTS]      # there; --rehearse: the same, tiny, on a CPU
#
# In order of worth: correctness, inference, training, a real pretraining on jets that are simulated meanwhile, events on
# a Dask cluster, compiled training. Each step has a time limit of its own, and none stops another. RESULTS
# (build/gpu-day/brought-back unless given) gets few files, none above 16 MB: steps.txt, results.tar.gz with numbers and
# logs, which is renewed after every step, and the models. ONLY, a regular expression, names single steps to do again.
set -u
cd "$(dirname "$0")/.."
{ # Read to the end before anything runs: the file may change meanwhile.

REHEARSE=0
if [ "${1:-}" = --rehearse ]; then REHEARSE=1; shift; fi

# What is pretrained: the configuration and for how many seconds.
PRETRAIN="training/configs/pjepa_small.yaml:170 training/configs/pjepa_mini.yaml:90"

PYTHON=${PYTHON:-python3}
WORK=build/gpu-day
RESULTS=$(realpath -m "${1:-$WORK/brought-back}")
WHEELS=build/gpu-wheels
CORES=$(env -u OMP_NUM_THREADS nproc) # nproc would answer with that
WORKERS=$((CORES > 4 ? CORES - 2 : CORES)) # two are left to feed the GPU
LARGEST=15000000
if [ $REHEARSE = 1 ]; then
    TOTAL=3000 PATIENCE=10 DEVICE=cpu PROVIDER=cpu # a CPU that others use as well
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} # more of them wait for one another there, ten times as long
    INFERENCE="--provider cpu --sizes tiny --seconds 0.1"
    TRAINING="--sizes tiny --seconds 0.1 --device cpu"
    COMPILED="$TRAINING --compile --only none-on-a-cpu"
    SIMULATED=1500 JETS=40 JETS_A_FILE=20 EVENTS=60
    SETTINGS="steps=20 data.batch_size=32 keep_in_memory=true log_every=5 monitor_every=10 checkpoint_every=20"
    PROBE="--labels-per-class 4 --jets 40"
    DASK="--chunksize 20"
    PRETRAIN=${PRETRAIN##* }
else
    TOTAL=570 PATIENCE=1 DEVICE=cuda PROVIDER=cuda
    INFERENCE="--sizes published mini small --seconds 1 --limit 50"
    TRAINING="--sizes published mini small --batch 1024 --seconds 2"
    COMPILED="$TRAINING --compile --only compiled --limit 60"
    TRAINING="$TRAINING --no-compile --limit 35"
    SIMULATED=200 JETS=1000000 JETS_A_FILE=2000 EVENTS=8000
    # Compiling for every padded length would take longer than the training.
    SETTINGS="data.batch_size=1024 data.workers=8 keep_in_memory=true compile=false log_every=50 monitor_every=500 checkpoint_every=1000"
    PROBE="--labels-per-class 500 --jets 10000"
    DASK="--chunksize 1000"
fi
TRAINING="$TRAINING $([ $REHEARSE = 1 ] && echo --no-compile)"

[ -n "${ONLY:-}" ] || rm -rf "$WORK/logs" "$WORK/gpu" "$WORK/runs" "$WORK/jets" "$WORK/site"
mkdir -p "$WORK/logs" "$WORK/gpu" "$WORK/runs" "$RESULTS"
[ -n "${ONLY:-}" ] || : > "$RESULTS/steps.txt"
CARD=$(nvidia-smi --query-gpu=name --format=csv,noheader 2> /dev/null | head -1 | tr -c 'A-Za-z0-9\n' '-')
CARD=${CARD:-no-GPU}
export PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=3 REHEARSE

# note NAME SECONDS WHAT: a line of steps.txt, and everything so far into the archive
note() {
    printf '%4d s  %-22s %4d s  %s\n' "$SECONDS" "$1" "$2" "$3" | tee -a "$RESULTS/steps.txt"
    tar -czf "$RESULTS/.part" -C "$WORK" logs gpu && mv "$RESULTS/.part" "$RESULTS/results.tar.gz"
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

# Events, then jets of ten classes until the time is over: files that are whole stay.
simulate() {
    timeout $((120 * PATIENCE)) nice "$PYTHON" examples/simulate.py --process qcd --mjj-min 1000 --events $EVENTS --workers "$WORKERS" \
        --output "$WORK/qcd.root" > "$WORK/logs/simulate-events.log" 2>&1
    timeout $((SIMULATED - SECONDS > 5 ? SIMULATED - SECONDS : 5)) nice "$PYTHON" examples/simulate.py \
        --format jetclass --classes all --jets $JETS --jets-per-file $JETS_A_FILE --workers "$WORKERS" \
        --output "$WORK/jets" > "$WORK/logs/simulate-jets.log" 2>&1
}
if wanted simulation; then simulate & SIMULATION=$!; fi

step correctness 85 "$PYTHON" -m pytest -m gpu tests/gpu -v -p no:cacheprovider --durations 5 --tb short --show-capture no
step inference 80 "$PYTHON" -m benchmarks.gpu.inference --output "$WORK/gpu/$CARD-inference.json" $INFERENCE
step training 60 "$PYTHON" -m benchmarks.training --output "$WORK/gpu/$CARD-training.json" $TRAINING
[ -z "${SIMULATION:-}" ] || wait "$SIMULATION"
! wanted simulation || note simulation 0 "$(find "$WORK/jets" -name '*.root' 2> /dev/null | wc -l) files of $JETS_A_FILE jets"

embed_events() {
    step dask 90 "$PYTHON" -m benchmarks.gpu.dask_embedding "$WORK/qcd.root" --model jepa_coffea/models/pjepa-mini.onnx \
        --output "$WORK/gpu/$CARD-dask.json" --provider $PROVIDER $DASK
}
if [ $REHEARSE = 1 ]; then embed_events; else embed_events & fi
EMBEDDING=${!:-}

# bring_back FILE NAME: a model, if it is not too large
bring_back() {
    [ -f "$1" ] || return
    if [ "$(stat -c %s "$1")" -le $LARGEST ]; then cp "$1" "$RESULTS/$2"; else note "$2" 0 "left there: too large"; fi
}
for entry in $PRETRAIN; do
    config=${entry%%:*} seconds=${entry##*:} name=$(basename "${entry%%:*}" .yaml)
    run=$WORK/runs/$name
    length=$([ $REHEARSE = 1 ] || echo "--max-minutes $(awk "BEGIN {print $seconds / 60}")")
    step "pretrain-$name" $((seconds + 60)) "$PYTHON" training/pretrain.py --config "$config" --data "$WORK/jets/*.root" \
        --output "$run" --device $DEVICE $length --set $SETTINGS
    cp "$run/metrics.jsonl" "$WORK/gpu/$CARD-$name.jsonl" 2> /dev/null
    step "export-$name" 60 "$PYTHON" training/export.py "$run" --output "$run/$name.onnx"
    if [ -f "$run/$name.onnx" ] && [ "$(stat -c %s "$run/$name.onnx")" -gt $LARGEST ]; then
        step "half-$name" 60 "$PYTHON" training/export.py "$run" --precision fp16 --output "$run/half.onnx"
        bring_back "$run/half.onnx" "$name-fp16.onnx"
    else
        bring_back "$run/$name.onnx" "$name.onnx"
    fi
    newest=$(find "$run" -name 'checkpoint-*.pt' 2> /dev/null | sort | tail -n 1)
    step "weights-$name" 30 "$PYTHON" -m benchmarks.gpu.weights "$newest" "$run/weights.pt"
    bring_back "$run/weights.pt" "$name.pt"
    step "probe-$name" 60 "$PYTHON" training/evaluate.py "$run" --probe --device $DEVICE $PROBE --output "$WORK/gpu/probe-$name"
done
[ -z "$EMBEDDING" ] || wait "$EMBEDDING"
step compiled 90 "$PYTHON" -m benchmarks.training --output "$WORK/gpu/$CARD-training-compiled.json" $COMPILED
note all "$SECONDS" "results in $RESULTS"

for log in correctness inference training compiled dask; do
    echo "== $log"
    tail -n 40 "$WORK/logs/$log.log" 2> /dev/null
done
for log in "$WORK"/logs/probe-*.log; do echo "== $log"; tail -n 30 "$log"; done
! grep -q FAILED "$RESULTS/steps.txt"
exit
}
