"""Process state in standalone mode: the database knows each run, exactly. See docs/processes.md.

Importing this package loads no database driver; `worker.runs.store` does.
"""
