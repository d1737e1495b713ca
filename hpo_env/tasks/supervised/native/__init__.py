"""Fused kernels of all kinds of models: C++ that the machine's own compiler builds."""
