"""Where things are: frames, cells, coverage, routes, ground points, airspace. Pure."""
