"""Comparisons at scale: the matrix of opponents, tasks and seeds, cell by cell.

A cell is what one opponent reaches on one instance. Its key is a hash of all that decides it, its
file lies under that key, and what lies there is never run again: a comparison that was killed goes
on where it was, and one with another opponent more runs that opponent only.

    matrix.py     which cells there are, and which of them several rows of the table share
    keys.py       what their keys are made of
    store.py      the files
    jobs.py       batches of missing cells, and the tuning that some of them need first
    pace.py       how long the rest will take, more or less
    workers.py    processes that do jobs; `ray_workers.py`, tasks on a cluster
    running.py    the loop
    records.py    the table
    comparison.py a whole comparison, from what is asked for to the table
    results.py    what is written beside it
"""
