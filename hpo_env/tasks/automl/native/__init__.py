"""The booster in C++."""
