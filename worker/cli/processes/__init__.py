"""`orchesty-worker processes`."""
