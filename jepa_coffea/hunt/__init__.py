"""The hunt: from embedded events or histograms to p-values, calibrated and reported, by one YAML document."""
