from pathlib import Path

import pytest
import yaml

from training.config import ConfigError, check, override, read_config, write_config

MINIMAL = {
    "objective": {"name": "supervised"},
    "encoder": {"embed_dims": [8], "heads": 2, "blocks": 1},
    "data": {"files": "*.root"},
    "steps": 10,
}


def test_written_configuration_reads_back(tmp_path: Path) -> None:
    config = check(MINIMAL | {"optimiser": {"lr": 2e-3, "betas": [0.9, 0.95]}}, "test")
    write_config(config, tmp_path / "a.yaml")
    assert read_config(tmp_path / "a.yaml") == config


def test_command_line_goes_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(MINIMAL))
    changes = ["optimiser.lr=1e-4", "steps=7", "encoder.embed_dims=[8, 16]", "data.bucketed=false"]
    config = read_config(tmp_path / "a.yaml", changes, data=["x.root", "y.root"])
    assert config.optimiser.lr == 1e-4
    assert config.steps == 7
    assert config.encoder.embed_dims == (8, 16)
    assert config.data.bucketed is False
    assert config.data.files == ("x.root", "y.root")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("optimiser.lrr=1", "unknown field optimiser.lrr; did you mean 'lr'?"),
        ("stepz=1", "unknown field stepz; did you mean 'steps'?"),
        ("encoder.zzz=1", "unknown field encoder.zzz; known are "),
        ("optimiser.lr=-1", "field optimiser.lr: Input should be greater than 0 (got -1)"),
        ("optimiser.betas=[0.9, 1.5]", "field optimiser: betas must lie in [0, 1), got (0.9, 1.5)"),
        ("precision=fp8", "field precision: Input should be 'auto', 'fp32' or 'bf16' (got 'fp8')"),
        ("encoder.heads=3", "heads"),
        ("steps", "expected field=value"),
        ("steps.x=1", "steps is a value, not a section"),
    ],
)
def test_impossible_values_name_the_field(tmp_path: Path, change: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(MINIMAL))
    with pytest.raises(ConfigError) as error:
        read_config(tmp_path / "a.yaml", [change])
    assert message in str(error.value)


def test_files_may_lack_what_the_objective_drops() -> None:
    assert check(MINIMAL, "test").data.optional_fields == ()
    dropping = check(MINIMAL | {"objective": {"name": "supervised", "drop_displacement": 0.2}}, "test")
    assert dropping.data.optional_fields == ("d0", "d0_err", "dz", "dz_err")


def test_missing_field() -> None:
    with pytest.raises(ConfigError, match="test: field steps is missing"):
        check({name: value for name, value in MINIMAL.items() if name != "steps"}, "test")


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no document .*none\.yaml"):
        read_config(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(ConfigError, match=r"list\.yaml: expected sections with fields, got list"):
        read_config(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match=r"broken\.yaml is no YAML"):
        read_config(tmp_path / "broken.yaml")
    (tmp_path / "code.yaml").write_text("a: !!python/object/apply:os.getcwd []")
    with pytest.raises(ConfigError, match="is no YAML"):
        read_config(tmp_path / "code.yaml")
    (tmp_path / "data.yaml").write_text("data: [1]")
    with pytest.raises(ConfigError, match="data: expected a section with fields, got list"):
        read_config(tmp_path / "data.yaml", data=["a.root"])
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(ConfigError, match=r"latin\.yaml is no YAML: it is not UTF-8"):
        read_config(tmp_path / "latin.yaml")
    (tmp_path / "twice.yaml").write_text("steps: 3\nsteps: 4")
    with pytest.raises(ConfigError, match="the key 'steps' is given twice"):
        read_config(tmp_path / "twice.yaml")


def test_override_leaves_the_original_alone() -> None:
    content = {"a": {"b": 1}}
    assert override(content, ["a.b=2", "c.d=x"]) == {"a": {"b": 2}, "c": {"d": "x"}}
    assert content == {"a": {"b": 1}}


def test_a_fine_tuning_has_one_start() -> None:
    given = {
        "objective": {"name": "supervised"},
        "encoder": {"kind": "particles"},
        "data": {"files": ["a"]},
        "steps": 1,
    }
    assert check({**given, "start_from": "runs/a"}, "x").start_from == "runs/a"
    with pytest.raises(ConfigError, match="start_from: it is for pretrainings"):
        check({**given, "start_from": "runs/a", "finetune": {"encoder": "runs/b"}}, "x")
