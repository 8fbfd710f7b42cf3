"""Jets from files to padded batches: sources, shards, shuffling, bucketed packing."""
