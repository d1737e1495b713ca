"""What inner networks are made of, whatever family trains them: models, optimisers, random numbers."""
