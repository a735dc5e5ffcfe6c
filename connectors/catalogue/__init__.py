"""Ready connectors, one module for each service."""
