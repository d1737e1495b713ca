"""What the table of a comparison says: pairs of runs, regrets, intervals, profiles, claims.

`pairing.py` lines the runs of all opponents up; everything else works on what it returns. Nothing
here knows how the runs came about, or how the numbers are shown.
"""
