"""Task families: what is trained while an agent turns its hyperparameters."""
