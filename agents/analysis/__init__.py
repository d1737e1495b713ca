"""The analysis of a run: what TensorBoard shows beyond curves, and the report that is shared.

`layout` arranges the curves, `hparams` makes the table of runs, `introduction` writes both when a
run begins. `recording` runs held-out tasks, `importance`, `projector` and `figures` read what came
out, and `study` writes all of it at the end of a meta-training or an evaluation. `html_report` puts
the same into one file, with the curves that `curves` reads back from the events.
"""
