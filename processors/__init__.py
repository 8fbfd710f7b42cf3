"""Ready coffea processors, to use as they are or to copy from."""
