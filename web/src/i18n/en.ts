import type { Catalogue } from "./zh";

export const en: Catalogue = {
  product: "Gridwing command",
  login: { account: "Account", password: "Password", enter: "Sign in", wrong: "Wrong account or password", leave: "Sign out" },
  live: { on: "Live", stale: "Stale since {{time}}" },
  list: { title: "Incidents", empty: "No incidents now", openOnly: "Open", all: "All", count: "{{count}}" },
  fleet: { title: "Fleet", battery: "Battery", height: "Height", speed: "Speed" },
  stop: {
    stop: "Ground stop", title: "Ground stop", what: "No drone takes off until a person who may lifts it.", reason: "Reason",
    allHome: "Also call home every drone in the air", next: "Next", confirm: "Stop all flights", cancel: "Cancel", lift: "Lift",
    liftAsk: "Lift the ground stop? Drones will take off again.", failed: "That did not work: try again",
    refused: { 403: "You may not do this", 409: "Something has changed: look and confirm again" },
    effect: "In the air: {{flying}}; taking off: {{leaving}}; planned: {{planned}}.",
    stood: "Ground stop: {{by}} {{time}}, {{reason}}", stoodAllHome: "Ground stop, all home: {{by}} {{time}}, {{reason}}",
    why: {
      safety: "safety", weather: "weather", airspace: "airspace", authority: "authority", technical: "technical", exercise: "exercise",
      other: "other", clear: "clear",
    },
  },
  page: {
    back: "Back to list", evidence: "Pictures", noEvidence: "No picture yet", timeline: "Timeline", dispatches: "Dispatches",
    acknowledge: "Acknowledge", dispatch: "Dispatch", verify: "Verify by drone", falseAlarm: "Close as false alarm",
    dismiss: "Dismiss", close: "Close", cell: "Grid", police: "Police grid", opened: "Reported", level: "Escalation", source: "Source",
    choose: "Choose the responder for me", confirm: "Really “{{action}}”?",
  },
  map: { schematic: "Schematic: geometry is illustrative, not surveyed" },
  lang: "中文",
  state: {
    reported: "Reported", filed: "Filed", dispatched: "Dispatched", handling: "Handling", feedback: "Feedback",
    verifying: "Verifying", closed: "Closed", dismissed: "Dismissed", merged: "Merged", deferred: "Deferred",
    suspended: "Suspended", rework: "Rework",
  },
  kind: {
    fire: "Fire", smoke: "Smoke", exposed_rubbish: "Exposed rubbish", blocked_fire_lane: "Blocked fire lane",
    flooded_road: "Flooded road", floating_debris: "Floating debris", crowd: "Crowd",
    illegal_structure: "Illegal structure", illegal_parking: "Illegal parking",
    person_in_water: "Person in the water", device_fault: "Device fault",
  },
  severity: { critical: "Critical", high: "High", medium: "Medium", low: "Low" },
  force: {
    grid: "Grid", police_grid: "Police grid", fire_post: "Fire post", urban_management: "Urban management", water: "Water",
    safety: "Safety",
  },
  dispatch: {
    offered: "Offered", accepted: "Accepted", refused: "Refused", arrived: "Arrived", handed_back: "Handed back",
    withdrawn: "Withdrawn",
  },
  phase: {
    idle: "Idle", preparing: "Preparing", taking_off: "Taking off", en_route: "En route", on_task: "On task",
    holding: "Holding", returning: "Returning", landing: "Landing", fault: "Fault", offline: "Offline",
  },
  outcome: { handled: "Handled", false_alarm: "False alarm", unfounded: "Unfounded", handed_over: "Handed over" },
  event: {
    "hazard.raised": "Hazard found", "hazard.renewed": "Hazard still there", "look.concluded": "Second look",
    "incident.reported": "Reported", "incident.fused": "Seen again, joined", "incident.filed": "Filed",
    "incident.dismissed": "Dismissed", "incident.acknowledged": "Acknowledged", "dispatch.offered": "Dispatched to",
    "dispatch.short": "Nobody available", "dispatch.accepted": "Accepted", "dispatch.refused": "Refused",
    "dispatch.arrived": "Arrived", "dispatch.handed_back": "Handed back", "dispatch.withdrawn": "Withdrawn",
    "incident.escalated": "Escalated", "incident.verification_requested": "Verification asked",
    "incident.verified": "Verified gone", "incident.reworked": "Still there: rework", "incident.closed": "Closed",
    "device.alarm_raised": "Device alarm", "device.alarm_cleared": "Device alarm gone",
    "device.event_noted": "Camera event", "evidence.viewed": "Picture viewed",
  },
  why: {
    confirmed: "still there", refuted: "gone", unclear: "unclear", flight: "by drone", person: "by a person",
    device: "the device no longer reports it", nobody_on_duty: "nobody on duty", all_busy: "all busy",
    no_rule: "no dispatch rule", level: "level {{level}}",
  },
  phone: {
    tasks: "My tasks", none: "No tasks now", onDuty: "On duty", offDuty: "Off duty", accept: "Accept", refuse: "Refuse",
    arrive: "I have arrived", photo: "Take photo", handBack: "Done, hand back", navigate: "Navigate",
    photos: "{{count}} photos", needPhoto: "Take a photo first",
    refuseWhy: { busy: "Busy", too_far: "Too far", not_mine: "Not mine" }, away: "{{distance}} m",
    sent: "Handed back, waiting for verification", report: "Report a problem",
  },
};
