"""Flights on file: when one begins and ends, what a cut file still gives, what a picture shows."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.summary import Summary

from domain.device import DeviceKind
from domain.observation import FlightPhase, Frame, FramePose, Telemetry
from domain.place import Position
from runtime.bus import Message
from services.ingest.columns import Columns, Gathered
from services.ingest.mcap_file import PART, McapFile, read_whole, recover
from services.ingest.record import CameraRecorder, FlightRecorder, coarse, make_room
from simulators.district import generate
from simulators.recording import NotARecording, read

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
DISTRICT = generate(7)
DOCK, DRONE = DISTRICT.docks[0].sn, DISTRICT.docks[0].drone_sn
PLACE = Position(22.54, 113.35)


def row(second: float, phase: FlightPhase | None) -> Telemetry:
    at = AT + timedelta(seconds=second)
    return Telemetry(DRONE, DeviceKind.DRONE, at, int(second), at, PLACE, phase=phase)


def said(*rows: Telemetry) -> Columns:
    return Columns.of(Gathered(list(rows)), {DRONE: DeviceKind.DRONE}, AT)


async def fly(recorder: FlightRecorder, phases: list[FlightPhase | None]) -> None:
    for second, phase in enumerate(phases):
        message = Message(f"thing/product/{DRONE}/osd", b"%d" % second)
        await recorder.take([message], said(row(second, phase)), AT + timedelta(seconds=second))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.flight.mcap"))


IDLE, UP, ON_TASK = FlightPhase.IDLE, FlightPhase.TAKING_OFF, FlightPhase.ON_TASK


async def test_each_flight_has_its_own_file_with_what_came_just_before(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path, DISTRICT)
    await fly(recorder, [IDLE, IDLE, UP, None, ON_TASK, IDLE, IDLE, UP, IDLE])
    first, second = files(tmp_path)
    heard = read([first]).said
    assert [s.payload for s in heard] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert [s.payload for s in read([second]).said] == [b"6", b"7", b"8"]
    assert [s.payload for s in read([second, first, first]).said] == [b"%d" % i for i in range(9)]


async def test_batches_with_a_whole_flight_in_them_make_one_file(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path, DISTRICT)
    await recorder.take([], said(row(0, FlightPhase.PREPARING), row(1, UP)), AT)
    await recorder.take([], said(row(2, ON_TASK), row(3, IDLE)), AT + timedelta(seconds=3))
    assert len(files(tmp_path)) == 1


async def test_a_finished_file_is_indexed_and_holds_fix_and_state(tmp_path: Path) -> None:
    recorder = FlightRecorder(tmp_path, DISTRICT)
    await fly(recorder, [UP, ON_TASK, IDLE])
    (path,) = files(tmp_path)
    summary = summary_of(path)
    topics = {c.topic: c for c in summary.channels.values()}
    assert {f"/drone/{DRONE}/fix", f"/drone/{DRONE}/osd", "/district"} <= set(topics)
    raw = topics[f"/raw/thing/product/{DRONE}/osd"]
    assert raw.metadata == {"mqtt_topic": f"thing/product/{DRONE}/osd"}
    assert {s.name for s in summary.schemas.values()} >= {"foxglove.LocationFix"}


def summary_of(path: Path) -> Summary:
    with path.open("rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    return summary


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_cut_file_gives_what_it_holds(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.flight.mcap"
    file = McapFile(path)
    for i in range(4000):
        file.write("/x", AT + timedelta(seconds=i), b"%06d" % i * 40)
    file.sync()
    part = tmp_path / ("a.flight.mcap" + PART)
    data = part.read_bytes()
    file.close()
    part.write_bytes(data[: int(len(data) * share)])
    whole = recover(part)
    assert whole == path
    assert not part.exists()
    with whole.open("rb") as stream:
        count = sum(1 for _ in make_reader(stream).iter_messages())
    assert count == sum(1 for _ in read_whole(whole))
    assert 4000 * share * 0.6 - 700 <= count <= 4000


def test_a_file_cut_at_any_byte_is_read_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "a.flight.mcap"
    file = McapFile(path)
    for i in range(30):
        file.write(f"/号/{i % 3}", AT, b"said", metadata={"mqtt_topic": "号"}, schema="s")
        if i % 10 == 0:
            file.sync()
    file.close()
    data, counts = path.read_bytes(), []
    for end in range(9, len(data), 5):
        path.write_bytes(data[:end])
        counts.append(sum(1 for _ in read_whole(path)))
    assert counts == sorted(counts)
    assert counts[-1] == 30


def test_a_part_with_nothing_in_it_goes_away(tmp_path: Path) -> None:
    part = tmp_path / ("a.flight.mcap" + PART)
    part.write_bytes(b"\x89MCAP0\r\n")
    assert recover(part) is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    path.write_bytes(b"no such thing")
    with pytest.raises(NotARecording, match=r"a\.mcap"):
        read([path])


PICTURE = np.full((480, 640, 3), 90, np.uint8)


def frame(second: float, height_agl_m: float) -> Frame:
    done, jpeg = cv2.imencode(".jpg", PICTURE)
    assert done
    at = AT + timedelta(seconds=second)
    pose = FramePose(PLACE, height_agl_m, 0.0, -90.0, 0.0, 66.0, at)
    return Frame(DRONE, at, jpeg.tobytes(), pose)


@pytest.mark.parametrize(("height_agl_m", "width_px"), [(20.0, 260), (60.0, 640), (3.0, None)])
def test_a_kept_picture_is_too_coarse_for_a_face(height_agl_m: float, width_px: int | None) -> None:
    taken = frame(0, height_agl_m)
    assert taken.pose is not None
    kept = coarse(PICTURE, taken.pose)
    if width_px is None:
        assert kept is None
        return
    assert kept is not None
    image = cv2.imdecode(np.frombuffer(kept, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape[1] == pytest.approx(width_px, abs=2)


def test_silence_ends_a_drones_pictures(tmp_path: Path) -> None:
    recorder = CameraRecorder(tmp_path, DISTRICT)
    for second in (0, 3, 60, 200):
        recorder.take(frame(second, 60.0), PICTURE, (), second)
    assert len(list(tmp_path.glob("*.cam.mcap"))) == 1
    recorder.close()
    assert len(list(tmp_path.glob("*.cam.mcap"))) == 2


def test_the_oldest_recordings_make_room(tmp_path: Path) -> None:
    for number in range(4):
        path = tmp_path / f"{number}.flight.mcap"
        path.write_bytes(b"x" * 100)
        os.utime(path, (number, number))
    make_room(tmp_path, 250)
    assert [p.name for p in files(tmp_path)] == ["2.flight.mcap", "3.flight.mcap"]


async def test_a_folder_that_cannot_be_written_stops_no_ingest(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.write_text("a file where the folder should be")
    recorder = FlightRecorder(folder, DISTRICT)
    await fly(recorder, [UP, ON_TASK, IDLE])
    recorder.close()
    assert folder.is_file()
