"""What Dask and coffea cost around the model."""
