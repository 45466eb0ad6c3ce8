"""Flight applications: their deadlines, and what a person may do with one. Pure.

Interim Regulation on Unmanned Aircraft Flight (2024): art. 26 (apply by 12:00 of the day before),
29 (emergency: half an hour before), 30 (report an hour before take-off and be confirmed), 31.
The figures are data (`rules/sky.toml`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.clearance import ApplicationKind, ApplicationState, FlightApplication
from domain.district import District
from domain.events import ApplicationDecided, ApplicationFiled, TakeOffConfirmed
from services.patrol.refusal import Refusal
from services.patrol.sky.rules import SkyRules
from services.patrol.sky.standing import Clearance

LONGEST_DAYS = {
    ApplicationKind.LONG_TERM: 366,
    ApplicationKind.DAILY: 1,
    ApplicationKind.EMERGENCY: 1,
}


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Until when to apply, and until when to report a take-off at `starts_at`."""

    apply_by: datetime
    report_by: datetime


def deadlines(application: FlightApplication, rules: SkyRules) -> Deadlines:
    """Return an application's deadlines by the authority's own clock."""
    starts = application.starts_at
    if application.kind is ApplicationKind.EMERGENCY:
        apply_by = starts - timedelta(seconds=rules.emergency.lead_s)
        # What is applied for half an hour before cannot be reported an hour before.
        return Deadlines(apply_by, apply_by)
    midnight = rules.local(starts).replace(hour=0, minute=0, second=0, microsecond=0)
    noon = midnight - timedelta(days=1) + timedelta(hours=rules.application.deadline_hour)
    report_by = starts - timedelta(seconds=rules.confirmation.lead_s)
    return Deadlines(noon.astimezone(starts.tzinfo), report_by)


def file(
    application: FlightApplication, district: District, at: datetime, rules: SkyRules
) -> ApplicationFiled | Refusal:
    """Decide whether an application can still be filed."""
    known = {d.sn: d for d in district.drones}
    strangers = [sn for sn in application.drone_sns if sn not in known]
    if strangers:
        cure = f"name registered drones: {', '.join(strangers)} are not"
        return Refusal("unknown_drone", "drone_sns", cure)
    ceiling = min(rules.ceiling_agl_m(known[sn].model) for sn in application.drone_sns)
    if application.ceiling_agl_m > ceiling:
        cure = f"ask for {ceiling:g} m or less ({rules.height.clause})"
        return Refusal("too_high", "ceiling_agl_m", cure)
    if application.ends_at <= at:
        return Refusal("over", "ends_at", "give a time that is still to come")
    longest = timedelta(days=LONGEST_DAYS[application.kind])
    if application.ends_at - application.starts_at > longest:
        cure = f"a {application.kind.value} application lasts at most {longest.days} days"
        return Refusal("too_long", "ends_at", cure)
    last = deadlines(application, rules).apply_by
    if at > last:
        rule = rules.emergency if application.kind is ApplicationKind.EMERGENCY else None
        clause = rule.clause if rule else rules.application.clause
        told = rules.local(last).strftime("%Y-%m-%d %H:%M")
        cure = f"the deadline was {told} ({clause}): start later, or file it as an emergency"
        return Refusal("too_late", "starts_at", cure)
    return ApplicationFiled(application)


def decided(clearance: Clearance, approved: bool, number: str) -> ApplicationDecided | Refusal:
    """Take down what the authority said."""
    if clearance.state is not ApplicationState.FILED:
        cure = f"it is {clearance.state.value}; only a filed application is decided"
        return Refusal("not_filed", "application_id", cure)
    if approved and not number.strip():
        return Refusal("no_number", "number", "give the authority's number of the approval")
    return ApplicationDecided(clearance.application.application_id, approved, number.strip())


def confirmed(
    clearance: Clearance, from_at: datetime, until_at: datetime, at: datetime, rules: SkyRules
) -> TakeOffConfirmed | Refusal:
    """Take down a take-off confirmation, reported now for take-offs from `from_at` on."""
    application = clearance.application
    if clearance.state is not ApplicationState.APPROVED:
        cure = f"it is {clearance.state.value}; only an approved one is confirmed"
        return Refusal("not_approved", "application_id", cure)
    if not from_at < until_at:
        return Refusal("no_time", "until_at", "give a time after from_at")
    if from_at < application.starts_at or until_at > application.ends_at:
        return Refusal("outside_approval", "from_at", "stay within the approved times")
    lead_s = rules.confirmation.lead_s
    urgent = application.kind is ApplicationKind.EMERGENCY
    if not urgent and (from_at - at).total_seconds() < lead_s:
        cure = f"take off {lead_s / 3600.0:g} h after the report ({rules.confirmation.clause})"
        return Refusal("too_late", "from_at", cure)
    return TakeOffConfirmed(application.application_id, from_at, until_at, at)
