"""Who flies what when: the routing problem, its search, its bound, and the judge. Pure."""
