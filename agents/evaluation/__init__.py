"""Paired evaluation of controllers against opponents that need one run, too.

`comparison.compare` does it all; `protocol.run_method` runs one method; `statistics`, `report` and
`figures` say what came of it.
"""
