"""What an aircraft does by itself once its link is lost, in each tongue it is told in. Pure.

The wayline file, `flighttask_prepare` and `takeoff_to_point` each say it, with other words for the
same action (WPML executeRCLostAction; DJI Cloud API, Dock 2). Which it is, is data
(`rules/sky.toml`, lost_link). Flying on is not among them: neither a ground stop nor a new zone
reaches an aircraft without a link.
"""

from dataclasses import dataclass
from enum import StrEnum


class LostLink(StrEnum):
    """The aircraft leaves its task, and does this."""

    RETURN_HOME = "return_home"
    HOVER = "hover"
    LAND = "land"


@dataclass(frozen=True, slots=True)
class LostLinkWords:
    """`wayline` for the file, `task` for out_of_control_action, `point` for rc_lost_action."""

    wayline: str
    task: int
    point: int


WORDS = {
    LostLink.RETURN_HOME: LostLinkWords("goBack", 0, 2),
    LostLink.HOVER: LostLinkWords("hover", 1, 0),
    LostLink.LAND: LostLinkWords("landing", 2, 1),
}
LEAVE_WAYLINE, LEAVE_POINT_FLIGHT = 1, 1
"""exit_wayline_when_rc_lost, commander_mode_lost_action: 0 would fly on."""
LEAVE_WAYLINE_IN_FILE = "executeLostAction"
"""exitOnRCLost of the file; `goContinue` would fly on."""
