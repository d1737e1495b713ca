"""What inner networks are made of, whoever trains them: models, optimisers, random numbers."""
