"""Every framework keeps the contract of situations."""

from __future__ import annotations

import warnings

import pytest

from hpo_env.testing.situations import DECAY, RATE, SituationContract, lowering_controller
from tests.hpo_env.integrations import steered_trainings as frameworks
from tests.hpo_env.integrations.host_data import rows


class TestLightGBM(SituationContract):
    make = frameworks.InLightGBM


class TestXGBoost(SituationContract):
    make = frameworks.InXGBoost


class TestKeras(SituationContract):
    make = frameworks.InKeras


class TestLightning(SituationContract):
    make = frameworks.InLightning


class TestTransformers(SituationContract):
    make = frameworks.InTransformers


class TestStableBaselines(SituationContract):
    make = frameworks.InStableBaselines


class TestScikitLearn(SituationContract):
    make = frameworks.InScikitLearn


@pytest.mark.filterwarnings("ignore")
def test_an_estimator_without_a_loss_keeps_its_own_values() -> None:
    models = pytest.importorskip("sklearn.linear_model")
    from hpo_env.integrations.sklearn import attach

    x, y, _, _ = rows()
    estimator = models.SGDClassifier(learning_rate="constant", eta0=RATE, alpha=DECAY)
    run = attach(lowering_controller(), estimator, total_steps=16)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(16):
            estimator.partial_fit(x, y, classes=[0, 1])
            run.step()
    assert sum("there is no loss to go by" in str(w.message) for w in caught) == 1
    assert (estimator.eta0, estimator.alpha) == (RATE, DECAY)
