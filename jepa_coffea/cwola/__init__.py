"""Classification without labels: windows, weights, nested folds, classifiers and the gates they must pass."""
