"""Small changes of the code that a test has to notice: `make mutants`."""
