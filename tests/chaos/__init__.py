"""Odd messages and odd outcomes through a worker of its own, on a real broker."""
