#!/usr/bin/env bash
# Fine-tune one pretrained encoder with few labels, frozen, fine-tuned and from scratch: an array of independent jobs.
#
#   sbatch examples/batch/finetune_slurm.sh runs/pjepa '/data/JetClass/train/*.root' runs/few-labels
#SBATCH --job-name=finetune
#SBATCH --array=0-8
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=02:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A-%a.log
set -uo pipefail

encoder=$1 data=$2 output=$3
modes=(finetune freeze scratch) labels=(100 1000 10000)
mode=${modes[SLURM_ARRAY_TASK_ID % 3]} few=${labels[SLURM_ARRAY_TASK_ID / 3]}

srun "${PYTHON:-.venv/bin/python}" training/finetune.py --encoder "$encoder" --data "$data" --mode "$mode" \
    --labels-per-class "$few" --seeds 0 1 2 --output "$output/$mode-$few" --resume auto
status=$?
if [[ $status -eq 75 ]]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
else
    exit "$status"
fi
