"""A worker process: its life, its wiring, its HTTP API and its metrics."""
