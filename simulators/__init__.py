"""The hardware that is not here."""
