from __future__ import annotations

import numpy as np

from agents.opponents.hypergradient import STRENGTH, HypergradientRates
from hpo_env.hyperparameters import Hyperparameter
from hpo_env.telemetry import Telemetry

RATE = Hyperparameter(name="learning_rate", low=1e-6, high=1.0, default=1e-3, max_step=4.0)


def test_agreement_raises_the_rate_and_disagreement_lowers_it_in_proportion() -> None:
    rates = HypergradientRates(np.full(5, 1e-2), 10, RATE)
    telemetry = Telemetry.missing(5)
    telemetry.update_agreement[:] = [1.0, 0.5, 0.0, -1.0, np.nan]
    rates.step(telemetry)
    factors = [1.0 + STRENGTH, 1.0 + STRENGTH / 2, 1.0, 1.0 - STRENGTH, 1.0]
    np.testing.assert_allclose(rates.rates, 1e-2 * np.array(factors))


def test_rates_stay_in_their_range() -> None:
    rates = HypergradientRates(np.array([0.9, 1.1e-6]), 10, RATE)
    telemetry = Telemetry.missing(2)
    telemetry.update_agreement[:] = [1.0, -1.0]
    for _ in range(3):
        rates.step(telemetry)
    assert rates.rates.tolist() == [RATE.high, RATE.low]
