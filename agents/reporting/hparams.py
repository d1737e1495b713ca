"""Rows of TensorBoard's HParams table: one schema for every kind of run.

TensorBoard takes the columns from one arbitrary run, so that runs with columns of their own would
lose them. Every row therefore declares all columns: a name that does not apply is "none", and a
number that does not apply is left out, because "none" among numbers cannot be sorted.

A metric is the last value of the scalar of that tag in the same run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Value  # type: ignore[import-untyped]
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from torch.utils.tensorboard import SummaryWriter

from .. import tags

NAMES = (
    *("Agent", "Family", "Kind", "Opponent", "Task"),
    *("labels", "preset", "hyperparameters", "action_mode"),
    *("base_schedule", "critic", "engine", "net_arch"),
)
"""Columns of words. `Kind` is "meta-training", "evaluation" or "held-out task"; `labels` are those
of a held-out task, one after the other, as families differ in which they have.

TensorBoard sorts columns by name, capitals first, and shows five until more are asked for: the
capitals are those that tell rows apart.
"""

NUMBERS = (
    *("seed", "steps", "num_envs", "learning_rate", "gamma", "n_steps", "batch_size", "n_epochs"),
    *("clip_range", "gae_lambda", "ent_coef", "buffer_size", "gradient_steps"),
    *("start", "num_runs"),
)
"""Columns of numbers."""

SWITCHED_OFF = "frozen"
"""The opponent that is the controller switched off: the user's own start on its base schedule."""

METRICS = (
    tags.SCORE,
    tags.BEST_SCORE,
    tags.VALIDATION_ROLLED_BACK,
    tags.RETURN,
    tags.STEPS_PER_SECOND,
    tags.EVALUATION_LOSS,
    tags.EVALUATION_GAIN.format(method="cosine_tuned"),
    tags.EVALUATION_GAIN.format(method=SWITCHED_OFF),
    tags.EVALUATION_DIVERGED,
    tags.RUN_MEASURED.format(measurement="validation_loss"),
)
"""Columns of outcomes."""

NONE = "none"


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with those that stand under a name of their own beside the others.

    Example:
        >>> flattened({"seed": 3, "settings": {"gamma": 0.9}})
        {'gamma': 0.9, 'seed': 3}
    """
    groups = [entry for entry in config.values() if isinstance(entry, Mapping)]
    plain = {name: entry for name, entry in config.items() if not isinstance(entry, Mapping)}
    return {name: value for group in (*groups, plain) for name, value in group.items()}


def training_row(config: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a meta-training, as in `config.json`, by the columns that it has."""
    # A family may call an option of its own as a column is called, such as `start`.
    settings = flattened(
        {name: entry for name, entry in config.items() if name != "family_options"}
    )
    row: dict[str, Any] = {name: settings.get(name.lower()) for name in (*NAMES, *NUMBERS)}
    for name in ("hyperparameters", "net_arch"):
        if row[name] is not None:
            row[name] = " ".join(map(str, row[name]))
    return row | {"Kind": "meta-training"}


def write_start(writer: SummaryWriter, row: Mapping[str, Any]) -> None:
    """Declare all columns, and write a run's row.

    Args:
        writer: Writes into the run's folder.
        row: By column; what is missing or None does not apply.

    Raises:
        KeyError: There is no such column.
    """
    unknown = set(row) - {*NAMES, *NUMBERS}
    if unknown:
        raise KeyError(f"no such columns: {sorted(unknown)}")
    start = SessionStartInfo(start_time_secs=time.time())
    for name in NAMES:
        value = row.get(name)
        start.hparams[name].string_value = NONE if value is None else str(value)
    for name in NUMBERS:
        if row.get(name) is not None:
            start.hparams[name].CopyFrom(Value(number_value=float(row[name])))
    _write(writer, metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=_schema()))
    _write(writer, metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))


def write_end(writer: SummaryWriter) -> None:
    """Mark a run's row as finished."""
    end = SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=time.time())
    _write(writer, metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))


def _schema() -> api_pb2.Experiment:
    words = [api_pb2.HParamInfo(name=name, type=api_pb2.DATA_TYPE_STRING) for name in NAMES]
    numbers = [api_pb2.HParamInfo(name=name, type=api_pb2.DATA_TYPE_FLOAT64) for name in NUMBERS]
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in METRICS]
    return api_pb2.Experiment(hparam_infos=[*words, *numbers], metric_infos=metrics)


def _write(writer: SummaryWriter, tag: str, content: HParamsPluginData) -> None:
    content.version = metadata.PLUGIN_DATA_VERSION
    plugin = SummaryMetadata.PluginData(
        plugin_name=metadata.PLUGIN_NAME, content=content.SerializeToString()
    )
    value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))
    file_writer: Any = writer.file_writer
    file_writer.add_summary(Summary(value=[value]))
