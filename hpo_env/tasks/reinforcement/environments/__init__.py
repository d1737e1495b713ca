"""Types of environment: their facts, their finite lists of physics, and their rules in NumPy."""
