"""Training throughput: this project's encoder against weaver-core's ParticleTransformer, same jets, same run.

    python benchmarks/training.py --output benchmarks/results/training.json

Every variant trains on the same made-up jets with AdamW, in bf16 autocast on a GPU and fp32 on a CPU. weaver-core gets
its standardised features ready made, as its data loader would; here the model computes them. "same batches": batches
of jets of similar multiplicity, padded alike for both. "as shipped": jets in random order padded to 128, which
weaver-core then trims, its default. Needs torch, numpy, pydantic and weaver-core, no data.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))

from training.data.batch import Batch
from training.models import attention
from training.models.encoder import EncoderConfig
from training.models.flops import encoder_macs
from training.models.preprocess import Preprocess
from training.models.synthetic import synthetic_jets
from training.objectives import build_objective
from training.objectives.base import Objective

FUSED = attention.fused
CLASSES = tuple(f"class{i}" for i in range(10))
MULTIPLICITY = (50.0, 20.0)
LONGEST = 128
HOPPER_PEAK = 989e12
"""Dense bf16 FLOP/s in NVIDIA's datasheet of H100 and H200."""


@dataclass(frozen=True)
class Size:
    """An encoder of both projects, and how it is fed."""

    embed_dims: tuple[int, ...]
    blocks: int
    heads: int
    batch: int
    pair_dims: tuple[int, ...] = (64, 64, 64)
    lengths: tuple[int, ...] = ()
    """Padded lengths to keep to, so that compiling does not take longer than measuring; empty: all."""

    def config(self) -> EncoderConfig:
        """For this project."""
        return EncoderConfig(embed_dims=self.embed_dims, pair_dims=self.pair_dims, blocks=self.blocks, heads=self.heads)


SIZES = {
    "tiny": Size((64, 64), 2, 4, 32, (16, 16), (32, 48)),
    "base": Size((128, 512, 128), 8, 8, 1024, lengths=(32, 48, 64)),
    "published": Size((512, 512, 512), 16, 8, 1024, lengths=(48, 64)),
}
"""``base`` is ParticleTransformer's own size, ``published`` that of P-JEPA."""


@dataclass
class Result:
    """What came out of one variant."""

    size: str
    variant: str
    batches: str
    jets_per_s: float | None = None
    step_ms: float | None = None
    tflops: float | None = None
    mfu_measured: float | None = None
    """Share of the matrix rate measured on this device in this run."""
    mfu_datasheet: float | None = None
    memory_gib: float | None = None
    warmup_s: float | None = None
    error: str | None = None
    kernels: dict[str, float] = field(default_factory=dict)
    """Share of the device's time by kind of kernel."""


def batches(size: Size, device: torch.device, *, sort: bool, jets: int) -> list[Batch]:
    """Batches of the same jets, sorted by multiplicity and padded to multiples of 16, or in random order at 128."""
    rng = np.random.default_rng(0)
    counts = np.rint(rng.normal(*MULTIPLICITY, jets)).clip(4, LONGEST).astype(int)
    if size.lengths:
        longest, shortest = max(size.lengths), min(size.lengths) - 15
        counts = np.resize(counts[(counts >= shortest) & (counts <= longest)], jets)
    counts = np.sort(counts) if sort else counts
    result = []
    for start in range(0, jets - size.batch + 1, size.batch):
        part = counts[start : start + size.batch].tolist()
        width = -(-max(part) // 16) * 16 if sort else LONGEST
        particles, mask, axis = synthetic_jets(part, seed=start, width=width)
        labels = torch.randint(len(CLASSES), (size.batch,), generator=torch.Generator().manual_seed(start))
        result.append(Batch(particles=particles, mask=mask, jets=axis, labels=labels).to(device))
    return result


class Weaver(nn.Module):
    """weaver-core's ParticleTransformer, fed as its data loader would feed it."""

    def __init__(self, size: Size, *, trim: bool, compiled: bool) -> None:
        super().__init__()
        from weaver.nn.model.ParticleTransformer import ParticleTransformer

        self.model = ParticleTransformer(
            input_dim=17,
            num_classes=len(CLASSES),
            embed_dims=size.embed_dims,
            pair_embed_dims=size.pair_dims,
            num_heads=size.heads,
            num_layers=size.blocks,
            trim=trim,
            compile_model=compiled,
        )
        if compiled:
            self.model.compile(dynamic=False)

    @staticmethod
    @torch.no_grad()
    def prepare(batch: Batch) -> tuple[Tensor, ...]:
        """Features [B, 17, N], momenta [B, 4, N], mask [B, 1, N], labels; not part of the timing."""
        preprocess = Preprocess(EncoderConfig().fields, scale_to_jet_pt=False).to(batch.jets.device)
        features = preprocess(batch.particles, batch.mask, batch.jets).features
        assert batch.labels is not None
        momenta = (batch.particles[..., :4] * batch.mask.unsqueeze(-1)).transpose(1, 2)
        return features.transpose(1, 2).contiguous(), momenta.contiguous(), batch.mask.unsqueeze(1), batch.labels

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """The loss."""
        features, momenta, mask, labels = inputs
        return nn.functional.cross_entropy(self.model(features, momenta, mask).float(), labels)


class Ours(nn.Module):
    """An objective of this project."""

    def __init__(self, size: Size, name: str, *, compiled: bool, explicit: bool = False) -> None:
        super().__init__()
        attention.fused = attention.explicit if explicit else FUSED
        heads = (
            {"dim": 192, "heads": 6, "blocks": 4}
            if size.embed_dims[-1] >= 128
            else {"dim": 32, "heads": 4, "blocks": 2}
        )
        options: dict[str, Any] = {"predictor": heads, "last_blocks": 2} if name == "pjepa" else {}
        self.objective: Objective = build_objective(name, size.config(), options, class_names=CLASSES)
        if compiled:
            self.objective.compile()

    def prepare(self, batch: Batch) -> Batch:
        """As the data loader gives it."""
        return batch

    def forward(self, inputs: Batch) -> Tensor:
        """The loss."""
        return self.objective(inputs)["loss"]


def weaver_flops(size: Size, batch: Batch) -> float:
    """What the same network needs on a padded batch, without what its class blocks spend on projecting particles."""
    return 6 * len(batch) * encoder_macs(size.config(), batch.mask.shape[1])


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product, the best of a few."""
    n = 8192 if device.type == "cuda" else 1024
    a, b = torch.randn(n, n, device=device, dtype=dtype), torch.randn(n, n, device=device, dtype=dtype)
    best = 0.0
    for _ in range(4):
        repeats = 20 if device.type == "cuda" else 2
        start = now(device)
        for _ in range(repeats):
            a @ b
        best = max(best, repeats * 2 * n**3 / (now(device) - start))
    return best


def now(device: torch.device) -> float:
    """Seconds, after all that was asked of ``device`` is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@dataclass(frozen=True)
class Case:
    """One variant on its batches."""

    result: Result
    """To be filled."""
    build: Callable[[], Any]
    data: list[Batch]
    flops: Callable[[Any, Batch], float]
    """Of a model's training step on a batch."""
    peak: float
    """FLOP/s of the device."""

    @property
    def device(self) -> torch.device:
        """Where the batches are."""
        return self.data[0].jets.device


def measure(case: Case, args: argparse.Namespace) -> None:
    """Fill the result; a variant that fails says how there."""
    try:
        train(case, args)
    except Exception as error:  # noqa: BLE001  one variant that does not work must not hide the others
        case.result.error = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    gc.collect()
    torch._dynamo.reset()
    if case.device.type == "cuda":
        torch.cuda.empty_cache()


def train(case: Case, args: argparse.Namespace) -> None:
    """Train for ``args.seconds``, after each length has been seen twice."""
    device, data, result = case.device, case.data, case.result
    torch.manual_seed(0)
    model = case.build().to(device).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, 1e-4, fused=True)
    inputs = [model.prepare(batch) for batch in data]

    def step(i: int) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = model(inputs[i])
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if isinstance(model, Ours):
            model.objective.after_step(0.5)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = now(device)
    lengths = {batch.mask.shape[1]: i for i, batch in enumerate(data)}
    for i in [*lengths.values(), *lengths.values()]:
        step(i)
    result.warmup_s = round(now(device) - start, 1)
    passes, start, seconds = 0, now(device), 0.0
    while seconds < args.seconds:
        for i in range(len(data)):
            step(i)
        passes += 1
        seconds = now(device) - start
    result.jets_per_s = passes * sum(len(batch) for batch in data) / seconds
    result.step_ms = 1e3 * seconds / passes / len(data)
    rate = passes * sum(case.flops(model, batch) for batch in data) / seconds
    result.tflops, result.mfu_measured = rate / 1e12, rate / case.peak
    if device.type == "cuda":
        hopper = any(chip in torch.cuda.get_device_name(device) for chip in ("H100", "H200"))
        result.mfu_datasheet = rate / HOPPER_PEAK if hopper else None
        result.memory_gib = torch.cuda.max_memory_allocated(device) / 2**30
    if args.profile:
        result.kernels = kernels(step, len(data), device)


KINDS = {
    "attention": ("fmha", "attention", "flash", "efficient"),
    "matrix products": ("gemm", "nvjet", "cutlass", "cublas", "sm90_xmma", "xmma", "splitk", "mm", "linear"),
    "optimiser": ("multi_tensor", "adam", "lerp"),
    "fused elementwise": ("triton",),
    "softmax": ("softmax",),
    "norms": ("norm",),
    "GELU": ("gelu",),
    "sort, gather, copy": ("sort", "gather", "scatter", "index", "copy", "cat"),
}
"""Words in the names of GPU kernels and of PyTorch's operations on a CPU."""


def kernels(step: Callable[[int], None], count: int, device: torch.device) -> dict[str, float]:
    """Share of the device's time in each kind of kernel (on a CPU: operation), and the longest single ones."""
    on_gpu = device.type == "cuda"
    activity = torch.profiler.ProfilerActivity.CUDA if on_gpu else torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[activity]) as profile:
        for i in range(count):
            step(i)
        now(device)
    events = [
        (event.key, float(event.self_device_time_total if on_gpu else event.self_cpu_time_total))
        for event in profile.key_averages()
    ]
    shares: dict[str, float] = {}
    total = sum(spent for _, spent in events) or 1.0
    for name, spent in events:
        low = name.lower()
        kind = next((kind for kind, words in KINDS.items() if any(word in low for word in words)), "other")
        shares[kind] = shares.get(kind, 0.0) + spent / total
    shares = dict(sorted(shares.items(), key=lambda item: -item[1]))
    for name, spent in sorted(events, key=lambda event: -event[1])[:12]:
        shares[f"  {name[:90]}"] = spent / total
    return {name: round(share, 4) for name, share in shares.items()}


def variants(size: Size, *, compile_too: bool) -> list[tuple[str, str, Callable[[], Any]]]:
    """Name, kind of batches and how to build it."""
    found: list[tuple[str, str, Callable[[], Any]]] = [
        ("weaver ParT, supervised", "as shipped", lambda: Weaver(size, trim=True, compiled=False)),
        ("weaver ParT, supervised", "same batches", lambda: Weaver(size, trim=False, compiled=False)),
        ("ours, supervised", "same batches", lambda: Ours(size, "supervised", compiled=False)),
        ("ours, P-JEPA", "same batches", lambda: Ours(size, "pjepa", compiled=False)),
    ]
    if compile_too:
        found += [
            ("weaver ParT, supervised, compiled", "same batches", lambda: Weaver(size, trim=False, compiled=True)),
            ("ours, supervised, compiled", "same batches", lambda: Ours(size, "supervised", compiled=True)),
            ("ours, P-JEPA, compiled", "same batches", lambda: Ours(size, "pjepa", compiled=True)),
            (
                "ours, supervised, compiled, explicit",
                "same batches",
                lambda: Ours(size, "supervised", compiled=True, explicit=True),
            ),
        ]
    return found


def table(results: list[Result]) -> str:
    """The results as text, with the ratio to weaver-core in eager mode on the same batches."""
    lines = [
        f"{'size':10} {'variant':36} {'batches':13} {'jets/s':>9} {'ratio':>6} {'MFU':>6} {'of 989':>7} {'GiB':>6}"
    ]
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
    """Options of the command line."""
    cuda = torch.cuda.is_available()
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", default="published,base" if cuda else "tiny", help=f"of {', '.join(SIZES)}")
    options.add_argument("--device", default="cuda" if cuda else "cpu")
    options.add_argument("--seconds", type=float, default=4.0, help="measured time of a variant")
    options.add_argument("--limit", type=float, default=230.0, help="start no further variant after this many seconds")
    options.add_argument("--only", default="", help="only variants whose name contains this")
    options.add_argument(
        "--compile", action=argparse.BooleanOptionalAction, default=cuda, help="also with torch.compile"
    )
    options.add_argument("--profile", action=argparse.BooleanOptionalAction, default=True, help="what bounds a step")
    options.add_argument("--output", type=Path, help="write the results as JSON")
    return options


def main(argv: list[str] | None = None) -> None:
    """Measure, print a table, write JSON."""
    args = parser().parse_args(argv)
    device = torch.device(args.device)
    torch.set_float32_matmul_precision("high")
    started, results = time.perf_counter(), []
    peak = matmul_rate(device, torch.bfloat16 if device.type == "cuda" else torch.float32)
    about = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "CPU",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "matmul_tflops": peak / 1e12,
    }
    print(about, flush=True)
    for name in args.sizes.split(","):
        size = SIZES[name]
        data = {
            "same batches": batches(size, device, sort=True, jets=8 * size.batch),
            "as shipped": batches(size, device, sort=False, jets=8 * size.batch),
        }
        for variant, kind, build in variants(size, compile_too=args.compile):
            if args.only not in variant:
                continue
            result = Result(name, variant, kind)
            results.append(result)
            if time.perf_counter() - started > args.limit:
                result.error = "not measured: out of time"
                continue

            def flops(model: Any, batch: Batch, size: Size = size) -> float:
                return model.objective.flops(batch) if isinstance(model, Ours) else weaver_flops(size, batch)

            measure(Case(result, build, data[kind], flops, peak), args)
            print(table(results).splitlines()[-1], flush=True)
            if args.output:
                args.output.parent.mkdir(parents=True, exist_ok=True)
                args.output.write_text(json.dumps(about | {"results": [asdict(r) for r in results]}, indent=1))
    print("\n" + table(results))
    for result in results:
        if result.kernels:
            print(f"\n{result.size}, {result.variant}, {result.batches}: where the device's time goes")
            for name, share in result.kernels.items():
                print(f"  {share:6.1%} {name}")


if __name__ == "__main__":
    main()
