"""Fetch what a machine with one GPU and no network lacks, small enough to carry there.

python -m benchmarks.gpu.wheels [--output build/gpu-wheels]

Downloads the packages of ``wheels.txt`` for Python 3.12 on x86-64 Linux, in the versions of ``constraints.txt``, and
packs them anew, more tightly: onnxruntime-gpu with the common kernels for one architecture only and without what Python
does not load, pythia8mc without manuals and without parton densities that are not asked for. They are for that one
run, not for an environment that is kept. `benchmarks/gpu_day.sh` installs them there into a folder of its own.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.gpu.device_code import keep_architecture
from benchmarks.machine import ROOT

LIST = Path(__file__).with_name("wheels.txt")

PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_24_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux1_x86_64",
)
"""pip takes each of these literally."""

UNUSED = {
    "onnxruntime_gpu": (
        "libonnxruntime.so",
        "libonnxruntime_providers_tensorrt.so",
        "onnxruntime/transformers/models/",
    ),
    "pythia8mc": (
        *("/htmldoc/", "/pdfdoc/", "/examples/", "/GKG18_", "/GRS99", "/GJR07", "/EPS09", "/CT14qed", "/SU21"),
        *("/NNPDF31", "/mstw", "/mrst", "/ct09", "/ctq66", "/cteq", "/pom"),
    ),
}
"""Parts of names of files that are left out: the library for C, TensorRT, tools for language models; manuals, parton
densities other than Pythia's own choice for protons."""

DEVICE_CODE = "libonnxruntime_providers_cuda.so"

LARGEST = 56.0
"""MB that all wheels together may have."""


def download(output: Path) -> None:
    """Download the packages of the list, without what they depend on: that is on the list too.

    Parameters
    ----------
    output
        Folder for the wheels.

    Raises
    ------
    subprocess.CalledProcessError
        If pip finds no wheel of one of them.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.12", "--implementation", "cp", "--dest", str(output)]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    command += ["--constraint", str(ROOT / "constraints.txt"), "--requirement", str(LIST)]
    subprocess.run(command, check=True)


def repack(wheel: Path, leave_out: tuple[str, ...], change: Callable[[str, bytes], bytes]) -> None:
    """Write a wheel anew without some files, the others changed, in the tightest compression that pip unpacks.

    Parameters
    ----------
    wheel
        The file; replaced.
    leave_out
        Files whose name contains one of these are left out.
    change
        From a file's name and content to its new content.
    """
    partial = wheel.with_suffix(".part")
    record: list[str] = []
    with (
        zipfile.ZipFile(wheel) as old,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_LZMA) as new,
    ):
        listing = next(name for name in old.namelist() if name.endswith(".dist-info/RECORD"))
        for item in old.infolist():
            if item.is_dir() or item.filename == listing or any(part in item.filename for part in leave_out):
                continue
            content = change(item.filename, old.read(item))
            entry = zipfile.ZipInfo(item.filename, item.date_time)
            entry.external_attr = item.external_attr
            new.writestr(entry, content, zipfile.ZIP_LZMA)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{item.filename},sha256={digest},{len(content)}")
        new.writestr(listing, "\n".join([*record, f"{listing},,", ""]), zipfile.ZIP_LZMA)
    partial.replace(wheel)


def for_one_gpu(architecture: int) -> Callable[[str, bytes], bytes]:
    """Make the change that keeps the device code of one architecture.

    Parameters
    ----------
    architecture
        As in 90 for compute capability 9.0.

    Returns
    -------
    callable
        From a file's name and content to its new content.
    """

    def _change(name: str, content: bytes) -> bytes:
        if not name.endswith(DEVICE_CODE):
            return content
        library = bytearray(content)
        keep_architecture(library, architecture)
        return bytes(library)

    return _change


def main() -> None:
    """Download, pack anew, and say how large all is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "gpu-wheels")
    parser.add_argument("--architecture", type=int, default=90, help="of the GPU: 80 A100, 90 H100 and H200")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for old in options.output.glob("*.whl"):
        old.unlink()
    download(options.output)
    sizes: dict[str, float] = {}
    for wheel in sorted(options.output.glob("*.whl")):
        name = wheel.name.split("-")[0]
        before = wheel.stat().st_size
        repack(wheel, UNUSED.get(name, ()), for_one_gpu(options.architecture))
        sizes[wheel.name] = wheel.stat().st_size / 1e6
        print(f"{sizes[wheel.name]:7.2f} MB, was {before / 1e6:6.2f} MB: {wheel.name}", flush=True)
    total = sum(sizes.values())
    print(f"{total:7.2f} MB in {len(sizes)} wheels, in {options.output}")
    if total > LARGEST:
        sys.exit(f"gpu-wheels: {total:.0f} MB is more than can be carried, {LARGEST:.0f} MB")


if __name__ == "__main__":
    main()
