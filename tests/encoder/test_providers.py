"""The provider asked for is the provider given, or an error that says how to mend it."""

import ctypes
import importlib
import importlib.metadata
import sys
from pathlib import Path
from types import SimpleNamespace

import onnxruntime
import pytest

from jepa_coffea.encoder import OnnxEncoder, providers
from jepa_coffea.encoder.providers import ProviderError
from tests.encoder.tiny import write_tiny


def test_auto_takes_the_cpu_where_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "gpu_count", lambda: 0)
    assert OnnxEncoder(write_tiny(tmp_path / "a.onnx")).provider == "cpu"


@pytest.mark.parametrize(("listed", "gpus", "expected"), [(True, 1, "cuda"), (True, 0, "cpu"), (False, 1, "cpu")])
def test_auto(listed: bool, gpus: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["CUDAExecutionProvider"] * listed + ["CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(providers, "gpu_count", lambda: gpus)
    assert providers.choose("auto") == expected


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_wheel_without_the_provider(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match=r"has no .*ExecutionProvider.*CUDA 13 and cuDNN 9.*preload_dlls"):
        providers.choose(provider)


def test_unknown_provider() -> None:
    with pytest.raises(ProviderError, match="expected one of auto, cuda, tensorrt, cpu, got 'gpu'"):
        providers.choose("gpu")


def test_a_session_that_fell_back_is_refused() -> None:
    fallen = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match="expected CUDAExecutionProvider, ONNX Runtime gave CPUExecutionProvider"):
        providers.confirm(fallen, "cuda")
    providers.confirm(fallen, "cpu")


def test_neither_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        msg = f"No module named {name!r}"
        raise ImportError(msg)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ProviderError, match=r"jepa-coffea\[cpu\].*jepa-coffea\[gpu\]"):
        providers.runtime()


def pretend(package: str, folder: Path) -> None:
    """A folder that says that a package is installed in it."""
    info = folder / f"{package.replace('-', '_')}-1.31.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.31.1\n")


def test_both_packages_over_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnxruntime", "onnxruntime-gpu"):
        pretend(package, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert set(providers.installed()) == {"onnxruntime", "onnxruntime-gpu"}
    with pytest.raises(
        ProviderError, match=r"onnxruntime 1.31.1 and onnxruntime-gpu 1.31.1 are installed over one another"
    ):
        providers.runtime()


def test_engines_of_two_files_do_not_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    folders = []
    for digest in ("a" * 64, "b" * 64):
        wanted = providers.session_providers("tensorrt", 0, digest=digest, cuda_graphs=False, exact=True)
        assert [name for name, _ in wanted] == [providers.EXECUTION[name] for name in ("tensorrt", "cuda", "cpu")]
        folders.append(Path(wanted[0][1]["trt_engine_cache_path"]))
    assert folders[0] != folders[1]
    assert all(folder.is_dir() for folder in folders)


class Driver:
    """What the CUDA driver answers: the code of cuInit and the number of devices."""

    def __init__(self, code: int, devices: int) -> None:
        self.cuInit = lambda flags: code
        self.devices = devices

    def cuDeviceGetCount(self, pointer: object) -> int:  # noqa: N802
        pointer._obj.value = self.devices
        return 0


@pytest.mark.parametrize(("code", "devices", "count"), [(0, 3, 3), (0, 0, 0), (100, 0, 0)])
def test_gpu_count(code: int, devices: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(code, devices))
    assert providers.gpu_count() == count


def test_no_driver_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert providers.gpu_count() == 0


def test_a_fork_of_a_process_that_used_cuda_is_no_machine_without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(3, 0))
    with pytest.raises(ProviderError, match=r"forked.*spawn"):
        providers.gpu_count()


def test_a_package_behind_the_first_on_the_path_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = providers.installed()
    (other,) = {"onnxruntime", "onnxruntime-gpu"} - set(before)
    pretend(other, tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert providers.installed() == before
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert providers.installed() == {other: "1.31.1"}
