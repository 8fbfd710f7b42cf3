"""What an encoder adds to a search: calibrated significance against injected signal, for several sets of features."""
