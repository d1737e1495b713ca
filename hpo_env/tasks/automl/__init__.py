"""Boosting: trees grow on a table while shrinkage, tree size, sampling and learner are turned."""
