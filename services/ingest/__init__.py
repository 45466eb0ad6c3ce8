"""ingest: device bytes become observations and are kept; frames become hazards."""
