"""The ground services stand on."""
