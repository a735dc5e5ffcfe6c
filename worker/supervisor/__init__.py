"""Several worker processes on one machine, and the one that looks after them.

The supervisor answers HTTP for all of them. Each worker answers on a socket of its own in a private folder, which the
supervisor asks, and holds the end of a pipe of the supervisor: the pipe's end is the supervisor's end.
"""
