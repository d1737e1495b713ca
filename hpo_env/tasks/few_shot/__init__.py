"""Few-shot tasks: a learned initialisation is adapted to a handful of rows while rates are turned."""
