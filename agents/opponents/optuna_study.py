"""An Optuna study that proposes trials and is told of them, and the database that it is kept in.

A study lives in memory, and is written to the database when the search has ended. All trials train
in one process, so nobody else needs to see it before; and a report of every interval of every trial
is a transaction that takes longer than the interval. A search that is killed leaves no study.

A study's name is a hash of opponent, instance and workload: studies of a comparison share
a database without meeting. One of that name that is there already is deleted: the search began
anew, since only a search from its beginning is a function of its seed.

Axes: `K` trials, `D` hyperparameters.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.integrations.extras import require

from .base import Opponent
from .sampler import Sampler
from .trials import Trial, Trials

if TYPE_CHECKING:
    import optuna

Array = NDArray[np.float64]

_LOCK_SECONDS = 60.0  # SQLite has one writer at a time, and every worker process writes
_PAUSES = (0.2, 0.4, 0.8, 1.6)  # seconds between attempts to create the tables


class OptunaSampler(Sampler):
    """Asks a study for trials, whose parameters are the coordinates of the search space.

    The first trial is the instance's own values, the family's defaults in canonical instances: a
    user who knows Optuna enqueues what is in use already.

    Args:
        study: A study without trials.
        trials: What the proposals are for.
        companions: Further coordinates that nothing depends on.
    """

    def __init__(self, study: optuna.Study, trials: Trials, companions: Sequence[str] = ()) -> None:
        from optuna.distributions import FloatDistribution

        self._study = study
        self._space = trials.space
        self._initial = np.array(trials.instance.task.initial)
        self._asked: list[optuna.Trial] = []
        names = (*trials.space.hyperparameters, *companions)
        self._distributions: dict[str, Any] = {n: FloatDistribution(0.0, 1.0) for n in names}
        own = dict(zip(trials.space.hyperparameters, trials.default.tolist(), strict=True))
        study.enqueue_trial(own | dict.fromkeys(companions, 0.5))

    def ask(self, count: int) -> Array:
        """Return what the study proposes; see `Sampler.ask`."""
        with quiet():
            asked = [self._study.ask(self._distributions) for _ in range(count)]
        self._asked += asked
        return np.array([[trial.params[n] for n in self._space.hyperparameters] for trial in asked])

    def report(self, trial: Trial) -> bool:
        """Report a trial's score so far, and return whether the study's pruner would stop it."""
        asked = self._asked[trial.number]
        asked.report(trial.score, trial.interval)
        return asked.should_prune()

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell scores; trials that are not over are pruned ones, and have reported theirs."""
        from optuna.trial import TrialState

        with quiet():
            for trial in trials:
                asked = self._asked[trial.number]
                values = self._space.decode(trial.point[None], self._initial)
                # What the coordinates stand for, for those who look into the database.
                asked.set_user_attr("values", values[0].tolist())
                if trial.is_over:
                    self._study.tell(asked, trial.score)
                else:
                    self._study.tell(asked, state=TrialState.PRUNED)


def sampler_seed(trials: Trials, name: str) -> int:
    """Draw the seed of a library's sampler, which follows from the instance's."""
    return int(trials.instance.rng(name).integers(2**31 - 1))


def study_name(opponent: Opponent, trials: Trials) -> str:
    """Name the study of an opponent on an instance."""
    workload, instance = trials.workload, trials.instance
    content = {
        "opponent": opponent.identity(),
        "task": instance.task.to_json(),
        "seed": instance.seed,
        "workload": [workload.family, workload.engine, workload.device, workload.options],
    }
    text = json.dumps(content, sort_keys=True, default=str)
    return f"{opponent.name}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


@contextmanager
def open_study(
    name: str,
    address: str | None,
    sampler: optuna.samplers.BaseSampler,
    pruner: optuna.pruners.BasePruner | None = None,
) -> Iterator[optuna.Study]:
    """Create a study, and keep it under its name in a database, if there is one, at the end."""
    import optuna

    with quiet():
        study = optuna.create_study(
            study_name=name, sampler=sampler, pruner=pruner or optuna.pruners.NopPruner()
        )
    yield study
    if address is not None:
        with quiet():
            _keep(study, address)


def _keep(study: optuna.Study, address: str) -> None:
    """Write a study to a database, in place of one that was left under its name."""
    import optuna

    name, storage = study.study_name, _connect(address)
    try:
        if name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)
        kept = optuna.create_study(study_name=name, storage=storage)
        kept.add_trials(study.get_trials(deepcopy=False))
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _connect(address: str) -> optuna.storages.RDBStorage:
    """Open a database; of several processes that come at once, the first creates its tables."""
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import DBAPIError

    is_sqlite = address.startswith("sqlite")
    options = {"connect_args": {"timeout": _LOCK_SECONDS}} if is_sqlite else {}
    for seconds in _PAUSES:
        try:
            return RDBStorage(address, engine_kwargs=options)
        except DBAPIError:  # another process is creating the tables
            time.sleep(seconds)
    return RDBStorage(address, engine_kwargs=options)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's remarks on trials, and on what it calls experimental, to itself."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def require_optuna() -> None:
    """Check that Optuna is installed.

    Raises:
        MissingExtraError: It is not.
    """
    require("optuna", extra="search")
