"""Jets per second from files into batches, beside weaver-core, and the memory that takes."""
