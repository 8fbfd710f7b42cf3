"""The command line, run as a user would."""

import json
import subprocess
import sys
from pathlib import Path

import awkward as ak
import pytest
import uproot

from jepa_coffea.cli import COMMANDS, main
from jepa_coffea.constituents import constituents_of
from jepa_coffea.encoder.card import card_in, save_model, write_card
from jepa_coffea.encoder.model_files import shipped
from tests.encoder.test_self_test import reference
from tests.encoder.tiny import tiny_model, write_tiny
from tests.processors.synthetic import write_events
from tests.support.event_files import MINIATURES, event_files


@pytest.fixture
def model(tmp_path: Path) -> Path:
    options = {"classes": ("QCD", "Hbb"), "macs_per_jet": {16: 2e6}, "optional_fields": ("d0", "dz")}
    return write_tiny(tmp_path / "tiny.onnx", reference=reference(), **options)


def test_inspect(model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["inspect", str(model)]) == 0
    text = capsys.readouterr().out
    for expected in (
        "8 numbers per jet",
        "QCD, Hbb",
        "opset 20",
        "16 particles 2.0 MMAC",
        "float [batch, particle, 14]",
    ):
        assert expected in text
    assert "seen, for tagging" in text
    cells = [[cell.strip() for cell in line.split("│")[2:-1]] for line in text.splitlines()]
    rows = {line[0]: line[1:] for line in cells if len(line) == 3}
    assert (rows["d0"], rows["d0_err"], rows["px"]) == (["mm", "yes"], ["mm", ""], ["GeV", ""])


def test_inspect_shows_results_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    results = {"frozen": {"accuracy": 0.47859999999999997, "auc": 0.5}, "seeds": [0, 1], "test [jets]": 100}
    drift = {"max_relative": 0.0123, "min_cosine": 0.9995, "jets": 64}
    path = write_tiny(tmp_path / "a.onnx", precision="int8", results=results, drift=drift)
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    for expected in ("accuracy 0.4786, auc 0.5", "0, 1", "test [jets]", "1.2e-02 relative", "0.999500, on 64 jets"):
        assert expected in text


def test_inspect_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--json", str(model)]) == 0
    assert json.loads(capsys.readouterr().out)["class_names"] == ["QCD", "Hbb"]


def test_validate(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(model), "--provider", "cpu"]) == 0
    assert capsys.readouterr().out.count("agrees") == 2


def test_validate_finds_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny(tmp_path / "a.onnx", classes=("QCD", "Hbb"), reference=reference(error=0.01))
    assert main(["validate", str(path), "--provider", "cpu"]) == 1
    assert "DIFFERS" in capsys.readouterr().out


@pytest.mark.parametrize("path", event_files("pfnano.root"))
def test_validate_with_events(model: Path, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(model), str(path), "--provider", "cpu", "--most", "5"]) == 0
    with uproot.open(path) as file:
        events = file["Events"].arrays(filter_name="/(FatJet|FatJetPFCands|PFCands)_.*/", entry_stop=5)
    counts = ak.flatten(ak.num(constituents_of(events), axis=2))
    rows = {line.strip("│ ").split("│")[0].strip(): line for line in capsys.readouterr().out.splitlines()}
    assert rows["entries"].split("│")[2].strip() == "5"
    assert rows["jets"].split("│")[2].strip() == str(len(counts))
    assert rows["particles"].split("│")[2].strip() == str(ak.sum(counts))


def test_a_file_that_was_cut_off(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events.root").touch()
    assert main(["validate", str(model), str(tmp_path / "events.root"), "--provider", "cpu"]) == 2
    assert "cannot be read as events: the file has 0 bytes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["inspect", "no.onnx"], "no.onnx: no such model file"),
        (["inspect", "unheard-of"], "neither a file nor a shipped model"),
        (["validate", "{model}", "no.root", "--provider", "cpu"], "no.root: cannot be read as events"),
        (["validate", "{model}", "{data}/cms_dijets.csv", "--provider", "cpu"], "cms_dijets.csv: "),
        (
            ["validate", "{model}", "{data}/nano_v12.root", "--provider", "cpu"],
            "nano_v12.root: these events have",
        ),
    ],
)
def test_errors(words: list[str], match: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word.format(model=model, data=MINIATURES) for word in words]) == 2
    assert match in capsys.readouterr().err


def test_what_moves_the_cursor_of_a_terminal_is_spelled_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "a\x1b[31mb.onnx"]) == 2
    assert r"a\x1b[31mb.onnx: no such model file" in capsys.readouterr().err
    proto = tiny_model()
    evil = {"name": "a\x1b[31m[/x]", "training_data": "\x1b]0;b\x07"}
    write_card(proto, card_in(proto, "a").model_copy(update=evil))
    save_model(proto, tmp_path / "a.onnx")
    assert main(["inspect", str(tmp_path / "a.onnx")]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert r"a\x1b[31m[/x]" in said


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.split()[0] == "jepa-coffea"


def test_closest_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["insepct"])
    assert "did you mean 'inspect'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["hunt", "report"])
def test_a_missing_extra_is_named(name: str) -> None:
    script = "import sys; sys.modules['sklearn'] = None; from jepa_coffea.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", script, name, "x"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs the package sklearn, which is not installed: pip install 'jepa-coffea[hunt]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("jepa_coffea.commands.models.run", interrupted)
    assert main(["models"]) == 130
    assert "stopped by Ctrl-C" in capsys.readouterr().err


def test_models(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["models"]) == 0
    rows = {words[0]: words[1:] for words in map(str.split, capsys.readouterr().out.splitlines()) if words}
    assert rows["pjepa-mini"] == ["pjepa", "64", "blind", "0.470", "±", "0.001"]
    assert rows["supervised-mini-tagger"][:4] == ["supervised", "192", "188", "blind"]
    assert set(shipped()) < set(rows)


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "reference jets agree within" in text
    assert "Nothing to mend" in text


def test_doctor_knows_what_model_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--model", "pjepa-mni"]) == 1
    assert "did you mean 'pjepa-mini'?" in " ".join(capsys.readouterr().out.split())


def test_doctor_finds_conflicts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {"onnxruntime": "1.27", "onnxruntime-gpu": "1.27", "dask-cuda": "26.8"}
    monkeypatch.setattr("jepa_coffea.commands.doctor._version", lambda package: numbers.get(package, ""))
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "onnxruntime and onnxruntime-gpu are both installed" in text
    assert "jepa-coffea[hunt]" in text
    assert "…" not in text


def test_doctor_without_a_working_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny(tmp_path / "a.onnx", classes=("QCD", "Hbb"), reference=reference(error=0.01))
    assert main(["doctor", "--model", str(path)]) == 1
    assert "no model runs here" in capsys.readouterr().out


def test_defaults_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["validate", "--help"])
    assert "(default: FatJet)" in capsys.readouterr().out


def test_usage() -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    with pytest.raises(SystemExit, match="2"):
        main(["dance"])
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])


def test_inspect_imports_no_other_command(model: Path) -> None:
    script = "import sys; from jepa_coffea.cli import main; main(sys.argv[1:]); print('coffea' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script, "inspect", str(model)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert "usage: jepa-coffea " + name in capsys.readouterr().out


def test_validate_with_no_events(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_events(tmp_path / "empty[1].root", 0)
    assert main(["validate", str(model), str(path), "--provider", "cpu"]) == 0
    rows = {line.strip("│ ").split("│")[0].strip(): line for line in capsys.readouterr().out.splitlines()}
    assert rows["entries"].split("│")[2].strip() == "0"
