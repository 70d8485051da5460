"""Applications that benchmarks run."""
