"""The bump hunt on histograms: background fits, p-values, their calibration, exports and the report."""
