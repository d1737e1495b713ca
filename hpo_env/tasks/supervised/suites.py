"""What policies of supervised learning are compared on: one axis held out at a time, then all.

All suites for results draw from the test side of the data sets, so each also asks for new data.
`interpolation` asks for nothing else; each further suite leaves what was seen in meta-training
along one axis, so that a loss can be traced to the axis that caused it; `extrapolation` leaves it
along all of them.

Meta-training has MLPs of 2 and 3 hidden layers of at most 128 units under SGD, AdamW and RMSprop,
minibatches of at most 64 rows, 10 updates a decision, and tables.

Decisions about what people train beside tables (texts, images under batch norm, runs of 1,500
updates) are taken on suites of their own.
"""

from __future__ import annotations

from hpo_env.tasks.base import Suite

_FOUR_TIMES_LONGER = {"updates_per_decision": 40}
_LONG_INTERVALS = {"updates_per_decision": 50}
_FOUR_TIMES_LARGER = {"batch_size": 256.0}
_TRAINED_MODELS = {"architectures": "train"}

_VALIDATION = Suite(
    name="validation",
    help="data sets and models of meta-validation; for decisions, not for results",
    options={"split": "validation"},
    is_for_results=False,
)
_VALIDATION_IMAGES = Suite(
    name="validation-images",
    help="residual convolutions with batch norm; for decisions, not for results",
    options={"split": "validation", "modalities": "images", **_LONG_INTERVALS},
    is_for_results=False,
)
_VALIDATION_TOKENS = Suite(
    name="validation-tokens",
    help="next characters of texts by causal attention; for decisions, not for results",
    options={"split": "validation", "modalities": "tokens", **_LONG_INTERVALS},
    is_for_results=False,
)
_INTERPOLATION = Suite(
    name="interpolation",
    help="new data sets, models of meta-training",
    options={"split": "test", **_TRAINED_MODELS},
)

SUITES: tuple[Suite, ...] = (
    _VALIDATION,
    _VALIDATION_IMAGES,
    _VALIDATION_TOKENS,
    _INTERPOLATION,
    Suite(
        name="wider",
        help="new data sets, MLPs four times as wide as the widest of meta-training",
        options={"split": "test", "model": "mlp_512x2_relu"},
    ),
    Suite(
        name="deeper",
        help="new data sets, MLPs twice as deep as the deepest of meta-training",
        options={"split": "test", "model": "mlp_64x6_relu"},
    ),
    Suite(
        name="architecture",
        help="new data sets, attention instead of MLPs",
        options={"split": "test", "model": "attention_8x32"},
    ),
    Suite(
        name="optimizer",
        help="new data sets, an optimiser that meta-training does not have: Adagrad",
        options={"split": "test", "optimizer": "adagrad", **_TRAINED_MODELS},
    ),
    Suite(
        name="longer",
        help="new data sets, runs of four times as many updates",
        options={"split": "test", **_TRAINED_MODELS, **_FOUR_TIMES_LONGER},
    ),
    Suite(
        name="batch",
        help="new data sets, minibatches of 256 rows",
        options={"split": "test", "initial": _FOUR_TIMES_LARGER, **_TRAINED_MODELS},
    ),
    Suite(
        name="modality",
        help="images under convolutions instead of tables",
        options={"split": "test", "dataset": "digits", "model": "cnn_8x8"},
    ),
    Suite(
        name="extrapolation",
        help="new data sets, models, optimiser, longer runs and larger minibatches at once",
        options={
            "split": "test",
            "optimizer": "adagrad",
            "initial": _FOUR_TIMES_LARGER,
            **_FOUR_TIMES_LONGER,
        },
    ),
)

DEMO_SCENES: tuple[Suite, ...] = (
    Suite(
        name="data",
        help="new data sets, models of the training side",
        options={"split": "test", **_TRAINED_MODELS},
    ),
    Suite(
        name="model",
        help="new data sets and a new model, a deep residual net",
        options={"split": "test", "model": "resmlp_96x4_norm"},
    ),
)
"""What the demonstration shows."""

SCENES: tuple[Suite, ...] = (
    _VALIDATION,
    _INTERPOLATION,
    Suite(
        name="new models",
        help="new data sets, and models that are held out from meta-training",
        options={"split": "test"},
    ),
)
"""What the figures of shipped policies are measured on."""
