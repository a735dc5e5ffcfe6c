"""The way in over HTTP: who may connect, for how long, and how much may be in flight at once."""
