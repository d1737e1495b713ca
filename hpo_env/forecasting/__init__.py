"""Forecasters that set their own smoothing and lags while they read a series once.

from hpo_env.forecasting import ControlledForecaster, forecast_frame

ControlledForecaster(season_length=12).forecast(y, h=18, level=[80, 95])
forecast_frame(frame, horizon=18, level=[80, 95])  # unique_id, ds, y: thousands at once
"""

from hpo_env.forecasting.forecaster import ControlledForecaster, Explanation
from hpo_env.forecasting.frames import (
    MEAN,
    Outcome,
    Table,
    forecast_frame,
    forecast_table,
    read_table,
)
from hpo_env.forecasting.pretrained import SHIPPED, Pretrained, pretrained

__all__ = [
    "MEAN",
    "SHIPPED",
    "ControlledForecaster",
    "Explanation",
    "Outcome",
    "Pretrained",
    "Table",
    "forecast_frame",
    "forecast_table",
    "pretrained",
    "read_table",
]
