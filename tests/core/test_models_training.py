"""The hazard network can be trained again: drawn, trained, measured, gone on with where stopped."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gridwing.hazard_figures import measured
from gridwing.models_cli import models_group
from models.catalogue import HAZARDS, card, card_text, read_card, whole
from models.labels import KIND_OF


def test_a_card_written_is_a_card_read(tmp_path: Path) -> None:
    fields = {"task": "hazards", "head": "centre", "licence": "MIT", "source": "s"}
    head = "".join(f'{k} = "{v}"\n' for k, v in (fields | {"trained_on": "t"}).items())
    parts: dict[str, dict[str, Any]] = {
        "thresholds": {"fire": 0.5},
        "figures": {"ap50": {"fire": 0.25}},
    }
    path = tmp_path / "one.toml"
    path.write_text(card_text(head, "00", ["fire"], parts), encoding="utf-8")
    assert tomllib.loads(path.read_text())["figures"]["ap50"] == {"fire": 0.25}
    assert read_card(path).thresholds == {"fire": 0.5}
    assert not whole(read_card(path))


def test_figures_of_the_shipped_network_can_be_taken_again() -> None:
    figures = measured(card(HAZARDS), 4)
    assert figures == measured(card(HAZARDS), 4)
    assert set(figures["districts_ap50"]) == set(card(HAZARDS).classes)
    assert set(figures["false_alarms_per_100_empty"]) == set(KIND_OF)


def test_the_shipped_card_says_what_it_was_measured_on() -> None:
    figures = card(HAZARDS).figures
    assert figures["pictures_each"] >= 300
    assert set(figures["districts_recall"]) == set(card(HAZARDS).classes)


# The newer exporter needs one package more than the `train` extra has.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_training_makes_weights_that_run_and_goes_on_where_it_was(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the `train` extra is not set up")
    pytest.importorskip("onnx", reason="the `train` extra is not set up")
    asked = ["train", "--out", str(tmp_path), "--pictures", "16", "--epochs", "1", "--judged", "2"]
    first = CliRunner().invoke(models_group, asked)
    assert first.exit_code == 0, first.output
    made = read_card(tmp_path / f"{HAZARDS}.toml")
    assert whole(made)
    assert not made.promoted
    again = CliRunner().invoke(models_group, asked)
    assert again.exit_code == 0, again.output
    assert "epoch" not in again.stderr
    assert read_card(tmp_path / f"{HAZARDS}.toml").sha256 == made.sha256
