"""The fused kernel of multilayer perceptrons: C++ that the machine's own compiler builds."""
