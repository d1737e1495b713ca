"""Forecasting: exponential smoothing and autoregression whose factors are turned in one pass."""
