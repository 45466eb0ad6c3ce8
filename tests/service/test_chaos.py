"""A small size of `make chaos`: everything fails once or twice, nothing is lost or doubled."""

from gridwing.chaos import ChaosPlan, faults, run

SMALL = ChaosPlan(seed=11, rate_per_s=800, kills=2, broker_restarts=1, outage_s=3.0, broker_kills=1)


def test_nothing_is_lost_when_everything_fails_in_turn() -> None:
    said: list[str] = []
    told = run(SMALL, said.append)
    assert faults(told) == []
    assert told["stored"] == told["sent"] > 0
    assert told["part_starts"] >= SMALL.kills + 1
    assert told["events_said"] > 0


def test_a_loss_is_told() -> None:
    assert faults({"lost": 1, "duplicates": 0}) == ["lost: 1"]
    assert faults({"broker_kill_lost": 9, "broker_kill_window": 8}) != []
    assert faults({"broker_kill_lost": 8, "broker_kill_window": 8}) == []
