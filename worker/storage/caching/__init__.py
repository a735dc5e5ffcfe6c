"""Cached answers and their locks, in each store of the data storage."""
