"""Training throughput, beside weaver-core."""
