"""The learners of reinforcement learning and their environments in C++."""
