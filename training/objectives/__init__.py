"""What an encoder is trained for: one objective per file, one interface for all."""
