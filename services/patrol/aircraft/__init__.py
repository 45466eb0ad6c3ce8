"""Files and messages aircraft read: WPML, QGroundControl plans, MAVLink missions. Pure."""
