"""Training throughput: this project's encoder against weaver-core's ParticleTransformer, same jets, same run.

    python -m benchmarks.training --output benchmarks/results/training.json

Every variant trains on the same made-up jets with AdamW, in bf16 autocast on a GPU and fp32 on a CPU. weaver-core gets
its standardised features ready made, as its data loader would; here the model computes them. "same batches": batches
of jets of similar multiplicity, padded alike for both. "as shipped": jets in random order padded to 128, which
weaver-core then trims, its default. "ratio" is to weaver-core in eager mode on the same batches. What is measured is
written at once.

Needs torch, numpy, pydantic and weaver-core, no data. On a CPU: the two smaller configurations of this project.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.machine import described, machine
from benchmarks.products import product_rates
from benchmarks.training.cases import SIZES, batches, step_flops, variants
from benchmarks.training.measure import Case, Result, measure
from jepa_coffea.files import write_text
from training.data.batch import Batch


def table(results: list[Result]) -> str:
    """The results as text, with the ratio to weaver-core in eager mode on the same batches.

    Parameters
    ----------
    results
        Of all variants.

    Returns
    -------
    str
    """
    heads = f"{'jets/s':>9} {'ratio':>6} {'MFU':>6} {'of 989':>7} {'GiB':>6}"
    lines = [f"{'size':10} {'variant':36} {'batches':13} {heads}"]
    for r in results:
        base = next(
            (b.jets_per_s for b in results if b.size == r.size and b.batches == "same batches" and b.jets_per_s), None
        )
        numbers = [
            f"{r.jets_per_s:9.0f}" if r.jets_per_s else f"{'-':>9}",
            f"{r.jets_per_s / base:6.2f}" if r.jets_per_s and base else f"{'-':>6}",
            f"{r.mfu_measured:6.1%}" if r.mfu_measured else f"{'-':>6}",
            f"{r.mfu_datasheet:7.1%}" if r.mfu_datasheet else f"{'-':>7}",
            f"{r.memory_gib:6.1f}" if r.memory_gib else f"{'-':>6}",
        ]
        note = r.error or (f"warm-up {r.warmup_s} s" if r.warmup_s else "")
        lines.append(f"{r.size:10} {r.variant:36} {r.batches:13} {' '.join(numbers)}  {note}")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """Options of the command line.

    Returns
    -------
    ArgumentParser
    """
    cuda = torch.cuda.is_available()
    sizes = ["published", "base"] if cuda else ["mini", "small"]
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=sizes)
    options.add_argument("--device", default="cuda" if cuda else "cpu")
    options.add_argument("--batch", type=int, help="jets in a batch instead of the size's own number")
    options.add_argument("--seconds", type=float, default=4.0 if cuda else 20.0, help="measured time of a variant")
    options.add_argument("--limit", type=float, default=500.0, help="start no further variant after this many seconds")
    options.add_argument("--only", default="", help="only variants whose name contains this")
    options.add_argument("--without", help="no variants whose name contains this")
    options.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default=cuda, help="also with torch.compile"
    )
    options.add_argument("--profile", action=argparse.BooleanOptionalAction, default=True, help="what bounds a step")
    options.add_argument("--output", type=Path, help="write the results as JSON")
    return options


def main(argv: list[str] | None = None) -> None:
    """Measure, print a table, write JSON after every variant.

    Parameters
    ----------
    argv
        Words of the command line; those of the process by default.
    """
    args = parser().parse_args(argv)
    device = torch.device(args.device)
    torch.set_float32_matmul_precision("high")
    started = time.perf_counter()
    results: list[Result] = []
    rates = product_rates(device.type, "bfloat16" if device.type == "cuda" else "float32")
    peak = max(rates.values())
    about = machine("torch", "weaver-core", "numpy", "onnxruntime") | {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "threads": torch.get_num_threads(),
        "matrix products, TFLOP/s": {library: round(rate / 1e12, 4) for library, rate in rates.items()},
    }
    print(described(about), flush=True)
    for name in args.sizes:
        size = replace(SIZES[name], batch=args.batch or SIZES[name].batch)
        data: dict[str, list[Batch]] = {}
        for variant, kind, build in variants(size, compile_too=args.compile):
            if args.only not in variant or (args.without and args.without in variant):
                continue
            if kind not in data:
                data[kind] = batches(size, device, sort=kind == "same batches", jets=8 * size.batch)
            result = Result(name, variant, kind)
            results.append(result)
            if time.perf_counter() - started > args.limit:
                result.error = "not measured: out of time"
                continue
            measure(
                Case(result, build, data[kind], partial(step_flops, size), peak), args.seconds, profile=args.profile
            )
            print(table(results).splitlines()[-1], flush=True)
            if args.output:
                args.output.parent.mkdir(parents=True, exist_ok=True)
                write_text(args.output, json.dumps(about | {"results": [asdict(r) for r in results]}, indent=1) + "\n")
    print("\n" + table(results))
    for result in results:
        if result.kernels:
            print(f"\n{result.size}, {result.variant}, {result.batches}: where the device's time goes")
            for name, share in result.kernels.items():
                print(f"  {share:6.1%} {name}")


if __name__ == "__main__":
    main()
