"""A minute of broken streams through the real watch: no crash, every refusal counted."""

from gridwing.eyes import hazard_card
from gridwing.soak import SoakPlan, faults, run


def test_a_minute_of_it() -> None:
    told = run(SoakPlan(minutes=1.0, rate=6.0, seed=7), hazard_card(None), lambda line: None)
    assert told["lost"] == 0
    sent, unheard = told["sent"], told["refused_on_hearing"]
    wrong_time = sum(n for why, n in unheard.items() if why.startswith("frame's time"))
    assert wrong_time == sent["clock_jump"] > 0
    assert unheard["frame header is not JSON: NaN is no number"] == sent["nan_pose"] > 0
    assert sum(unheard.values()) == sum(
        sent[kind] for kind in ("clock_jump", "nan_pose", "short_message", "sixteen_bit")
    )
    assert told["refused_as_pictures"].keys() >= {
        "picture of # x #; the limit is # pixels",
        "picture of # x #; a side has at least # pixels",
        "picture is cut off before its end",
    }
    assert told["judged"] > 0
    assert told["streams_ended"]


def test_memory_that_grows_and_frames_that_vanish_are_faults() -> None:
    assert faults({"lost": 0, "rss_growth": 0.05}) == []
    assert len(faults({"lost": 1, "rss_growth": 0.06})) == 2
