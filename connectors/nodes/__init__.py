"""Ready nodes: actions that every worker has, configured in the topology, without code."""
