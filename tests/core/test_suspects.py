"""Kept pictures go out to people with our boxes, and come back into what is learnt from."""

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from domain.events import Event, HazardRaised, IncidentClosed, IncidentReported
from domain.hazard import Detection, Hazard, HazardKind, Severity
from domain.incident import CloseOutcome
from domain.place import ErrorEllipse, Position
from gridwing.labelled_sets import of_folder
from gridwing.models_labelled_cli import labelled
from gridwing.suspects import VERDICTS, export, suspects
from models.boxes import Image
from models.labelled import from_coco, open_labelled
from models.labelled_check import checked, wrong_with
from models.noted import Noted, noted_in, shown, with_note
from runtime.evidence import EvidenceStore
from runtime.ledger import Entry

AT = datetime(2026, 11, 23, tzinfo=UTC)
CLASSES = ("fire", "smoke", "person")
LEAST = {"fire": 0.4, "smoke": 0.4, "person": 0.4}
HERE = Position(22.54, 113.35)


def picture(grey: int) -> bytes:
    return cv2.imencode(".jpg", np.full((120, 160, 3), grey, np.uint8))[1].tobytes()


def decoded(jpeg: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def fire(score: float) -> Detection:
    return Detection("fire", score, 20.0, 30.0, 60.0, 90.0)


PERSON = Detection("person", 0.8, 100.0, 20.0, 200.0, 100.0)


def hazard(number: int, sha256: str, score: float) -> Hazard:
    at = AT + timedelta(minutes=number)
    return Hazard(
        f"h{number}", HazardKind.FIRE, HERE, ErrorEllipse(1, 1, 0), score, "CAM001", at, at,
        3, 3, None, (), (sha256,), 0.0,
    )  # fmt: skip


def entry(position: int, event: Event) -> Entry:
    at = AT + timedelta(seconds=position)
    return Entry(position, "s", 1, event.KIND, at, "watch", event, b"")


@pytest.fixture
def evidence(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore(tmp_path / "evidence")


def told(evidence: EvidenceStore) -> list[tuple[str, Hazard, str]]:
    """A confirmed fire at 0.9, a false one at 0.45, an unjudged one at 0.6; one without boxes."""
    events: list[Event] = []
    scores = (0.9, 0.45, 0.6)
    for i, score in enumerate(scores):
        jpeg = with_note(picture(60 + 40 * i), Noted((fire(score),), (PERSON,)))
        events.append(HazardRaised(hazard(i, evidence.put_now(jpeg), score)))
        events.append(
            IncidentReported(
                f"i{i}", HazardKind.FIRE, Severity.HIGH, HERE, None, None, "CAM001", f"h{i}", ()
            )
        )
    events.append(HazardRaised(hazard(3, evidence.put_now(picture(250)), 0.5)))
    events.append(HazardRaised(hazard(4, "0" * 64, 0.5)))
    events.append(IncidentClosed("i0", CloseOutcome.HANDLED))
    events.append(IncidentClosed("i1", CloseOutcome.FALSE_ALARM))
    entries = [entry(i, event) for i, event in enumerate(events)]
    return suspects(entries, AT, AT + timedelta(hours=1))


def test_a_note_stands_in_the_file_and_draws_nothing() -> None:
    jpeg = picture(90)
    noted = Noted((fire(0.75),), (PERSON,))
    kept = with_note(jpeg, noted)
    assert noted_in(kept) == noted
    assert noted_in(jpeg) is None
    assert np.array_equal(decoded(jpeg), decoded(kept))
    assert shown(jpeg) == jpeg
    assert decoded(shown(kept))[30, 40, 2] > 200


def test_yolo_there_and_back(evidence: EvidenceStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = export(told(evidence), evidence, CLASSES, LEAST, out, False, 10)
    assert dict(made.written) == dict.fromkeys(VERDICTS, 1)
    assert (made.gone, made.without_boxes) == (1, 1)
    with (out / "suspects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["verdict"] for r in rows] == ["false", "unjudged", "confirmed"]
    assert [r["margin"] for r in rows] == ["0.050", "0.200", "0.500"]
    folder = open_labelled(out)
    boxes = [[b.label for b in found] for _, found in folder.read()]
    assert boxes == [["person"], ["fire", "person"], ["fire", "person"]]
    found = checked(folder, CLASSES)
    assert (found.pictures, found.empty, found.faults, found.unknown) == (3, 0, (), ())
    assert found.boxes == {"fire": 2, "person": 3}
    # Somebody says that the unjudged one shows smoke and nobody.
    label = next((out / "labels").glob("*-unjudged-*.txt"))
    label.write_text("1 0.25 0.5 0.25 0.5\n")
    corrected = [[t.box.label for t in p.true] for p in of_folder(out).pictures]
    assert corrected == [["person"], ["smoke"], ["fire", "person"]]
    with pytest.raises(ValueError, match="not empty"):
        export([], evidence, CLASSES, LEAST, out, False, 10)


def test_coco_there_and_back(evidence: EvidenceStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(told(evidence), evidence, CLASSES, LEAST, out, True, 2)
    assert len(json.loads((out / "annotations.json").read_text())["images"]) == 2
    back = from_coco(out / "annotations.json", out / "images", tmp_path / "back")
    assert back.classes == CLASSES
    boxes = [found for _, found in back.read()]
    assert [[b.label for b in found] for found in boxes] == [["person"], ["fire", "person"]]
    assert boxes[1][0].x0_px == pytest.approx(20.0, abs=0.1)
    result = CliRunner().invoke(labelled, [str(out), "--out", str(tmp_path / "yolo"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["boxes"] == {"fire": 1, "person": 2}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("0 0.5 0.5 0.5", "got 4 words"),
        ("0 0.1 0.1 0.2 0.1 0.2 0.2", "polygons"),
        ("fire 0.5 0.5 0.1 0.1", "want a number"),
        ("3 0.5 0.5 0.1 0.1", "class 3 is unknown"),
        ("0 0.5 0.5 x 0.1", "numbers"),
        ("0 0.5 nan 0.1 0.1", "finite"),
        ("0 0.5 0.5 0 0.1", "is none"),
        ("0 0.95 0.5 0.2 0.1", "out of the picture"),
        ("0 64 48 10 10", "out of the picture"),
    ],
)
def test_a_wrong_line_is_told(line: str, why: str) -> None:
    assert why in (wrong_with(line, CLASSES) or "")


def test_faults_name_file_and_line(evidence: EvidenceStore, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(told(evidence), evidence, CLASSES, LEAST, out, False, 10)
    label = sorted((out / "labels").glob("0*.txt"))[1]
    label.write_text(label.read_text() + "9 0.5 0.5 0.1 0.1\n")
    (out / "labels" / "lost.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (out / "images" / "torn.jpg").write_bytes(picture(9)[:200])
    told_of = [str(f) for f in checked(open_labelled(out), ("fire",)).faults]
    assert any(f.startswith(f"labels/{label.name}:3: class 9") for f in told_of)
    assert any(f.startswith("labels/lost.txt: no picture") for f in told_of)
    assert any(f.startswith("images/torn.jpg: ") for f in told_of)
    assert len(told_of) == 3
    result = CliRunner().invoke(labelled, [str(out)])
    assert result.exit_code == 1


def test_a_hazard_before_the_time_is_left_out(evidence: EvidenceStore) -> None:
    one = replace(hazard(0, "0" * 64, 0.5), last_seen_at=AT - timedelta(seconds=1))
    assert suspects([entry(0, HazardRaised(one))], AT, AT + timedelta(hours=1)) == []
