"""What inner networks are made of, whoever trains them.

`base.py` says what an architecture is, a file each holds a kind of them (`mlp.py`, `attention.py`,
`cnn.py`), and `registry.py` names them. Beside them stand the objectives, the optimisers, the
updaters that may replace these, and the random numbers.
"""
