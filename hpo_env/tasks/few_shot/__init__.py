"""Few-shot tasks: a learned initialisation is adapted to a few rows while rates are turned."""
