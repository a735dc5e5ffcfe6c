"""`orchesty-worker trash`."""
