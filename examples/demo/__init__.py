"""A demonstration: the countries of the world on their way through seven nodes. Read `actions.py` first."""
