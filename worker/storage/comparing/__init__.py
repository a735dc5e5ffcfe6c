"""Collections of the node `comparator`: what earlier runs have had, in SQL or Redis."""
