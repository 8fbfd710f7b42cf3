#!/usr/bin/env bash
# Pretrain on the GPUs of one or more nodes of a SLURM cluster, through as many time limits and pre-emptions as it takes:
#
#   sbatch examples/batch/train_slurm.sh training/configs/pjepa.yaml '/data/JetClass/train/*.root' runs/pjepa
#   sbatch --nodes 4 examples/batch/train_slurm.sh ...
#
# Three minutes before the time limit SLURM sends SIGUSR1 to every process; they save, leave with status 75, and the job
# queues itself again. A job that SLURM pre-empts with --requeue gets SIGTERM and comes back the same way. Further
# options of training/pretrain.py may follow the three arguments.
#SBATCH --job-name=pretrain
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=USR1@180
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -uo pipefail

config=$1 data=$2 output=$3
shift 3

# One process a GPU, started by srun; the variables are those that torchrun would set.
export MASTER_ADDR MASTER_PORT OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))

# `exec` so that the signal reaches python and not a shell in front of it.
srun --kill-on-bad-exit=0 bash -c '
    export RANK=$SLURM_PROCID LOCAL_RANK=$SLURM_LOCALID WORLD_SIZE=$SLURM_NTASKS
    exec "${PYTHON:-.venv/bin/python}" training/pretrain.py "$@"
' pretrain --config "$config" --data "$data" --output "$output" --resume auto "$@"
status=$?

if [[ $status -eq 75 ]]; then
    echo "stopped by a signal and saved; queueing job $SLURM_JOB_ID again"
    scontrol requeue "$SLURM_JOB_ID"
else
    exit "$status"
fi
