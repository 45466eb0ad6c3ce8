"""Hazards and reports → incidents → dispatches → closed. Escalation, delivery."""
