"""What labels buy: accuracy of classifiers against the number of labelled jets, with and without pretraining."""
