"""Several worker processes on one machine, and the one that looks after them.

The supervisor answers HTTP for all of them. Each worker answers on a socket of its own in a private folder, which the
supervisor asks, and reads from a pipe whose other end the supervisor holds: the pipe's end is the supervisor's end.
"""
