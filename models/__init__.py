"""The vision module: the only room that loads weights."""
