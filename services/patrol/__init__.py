"""巡查: what must be looked at becomes missions, waylines and commands to docks."""
