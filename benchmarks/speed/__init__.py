"""The parts of `benchmarks/throughput.py`, one idea a file.

A part measures (`measure`, plain data that JSON holds), prints (`tables`) and says which goals its
numbers belong to (`goals`).
"""
