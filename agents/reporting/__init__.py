"""Reports: what a run folder and a comparison show, on a page, a terminal and in TensorBoard.

A comparison is a frame with a row a run (`agents.comparing.records`); the numbers come from
`agents.statistics`, nothing is computed twice. What a reader sees is made of few pieces:

- `frames`, `schedules`: runs as such a frame, and their curves.
- `tables`: a table, written for a page, a terminal or as Markdown; `style`, `figures` and `page`:
  how pictures look, the pictures, and the page that holds them.
- `comparisons`: the report of a comparison; `comparison_tables` has its tables, `closing` what an
  evaluation ends with.
- `curves`, `runs`: the curves of a run folder, and its report.
- `recording`, `importance`, `projector`, `analysis`: the closing analysis of a policy, from runs on
  held-out tasks to numbers and pictures.
- `layout`, `hparams`, `tensorboard`: what TensorBoard is given.

Labels of tasks come from the frame, axes from the hyperparameters' scales: nothing here knows a
family.
"""
