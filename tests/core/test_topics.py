"""Names of topics: filters take what the names give, and docs/topics.md describes each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import topics
from runtime.topics import matches

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "topics.md"
NAMES = (
    topics.frame, topics.telemetry, topics.osd, topics.state, topics.drc_up, topics.drc_down,
    topics.services, topics.services_reply, topics.events, topics.events_reply, topics.requests,
    topics.requests_reply, topics.status, topics.status_reply,
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_topic_is_described(name: Callable[[str], str]) -> None:
    assert f"`{name('{sn}')}`" in DOCUMENT.read_text()


@pytest.mark.parametrize(
    ("topic", "filters"),
    [
        (topics.osd("A"), topics.INTAKE_FILTERS),
        (topics.state("A"), topics.INTAKE_FILTERS),
        (topics.events("A"), topics.INTAKE_FILTERS),
        (topics.requests("A"), topics.INTAKE_FILTERS),
        (topics.drc_up("A"), topics.INTAKE_FILTERS),
        (topics.status("A"), topics.INTAKE_FILTERS),
        (topics.telemetry("A"), topics.INTAKE_FILTERS),
        (topics.frame("A"), (topics.FRAME_FILTER,)),
        (topics.services_reply("A"), (topics.SERVICES_REPLY_FILTER,)),
    ],
)
def test_filters_take_their_topics(topic: str, filters: tuple[str, ...]) -> None:
    assert sum(matches(f, topic) for f in filters) == 1


@pytest.mark.parametrize("topic", [topics.services("A"), topics.events_reply("A")])
def test_what_we_say_ourselves_is_not_read_back(topic: str) -> None:
    assert not any(matches(f, topic) for f in topics.INTAKE_FILTERS)
