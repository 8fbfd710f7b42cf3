"""The jet encoder: preprocessing, pair features, attention, and the heads on top."""
