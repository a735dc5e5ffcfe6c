"""What starts around the worker: the broker of the demonstration, the tests and the benchmarks."""
