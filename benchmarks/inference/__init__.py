"""Jets per second of an encoder, beside what one would use instead and what the hardware allows."""
