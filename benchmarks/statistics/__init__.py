"""Whether p-values are right, and what finding out costs."""
