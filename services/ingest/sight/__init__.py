"""What frames show of hazards: rules, sightings on the ground, votes, looks. Pure."""
