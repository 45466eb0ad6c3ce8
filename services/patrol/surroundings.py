"""What patrol works with, composed once by its loop."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from runtime.clock import Clock
from runtime.ledger import Ledger
from services.patrol.fleet.timetable import NoPlan, Timetable
from services.patrol.fold import Fold
from services.patrol.plan import PatrolGround
from services.patrol.policy import PatrolPolicy
from services.patrol.store import PatrolStore

Think = Callable[[Callable[[], Timetable | NoPlan]], Awaitable[Timetable | NoPlan]]
"""Runs the making of a plan and returns it."""


async def at_once(job: Callable[[], Timetable | NoPlan]) -> Timetable | NoPlan:
    """Make a plan while everything else stands still."""
    return job()


@dataclass
class Surroundings:
    """Everything a commander and its planner share. `ground` is replaced when a temporary zone
    comes or goes; `slot` names this part among several."""

    ledger: Ledger
    store: PatrolStore
    fold: Fold
    ground: PatrolGround
    clock: Clock
    policy: PatrolPolicy
    wayline_url: Callable[[str], str]
    slot: str = "0"
    think: Think = at_once
