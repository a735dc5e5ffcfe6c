"""Whether a worker could do its work here: each check is one finding, with its cure."""
