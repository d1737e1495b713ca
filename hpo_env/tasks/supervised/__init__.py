"""Supervised learning on real tables and images: family, data, engines, suites."""
