"""Ready applications, one module per service."""
