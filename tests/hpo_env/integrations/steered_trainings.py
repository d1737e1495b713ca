"""One small training in each framework, with a controller, for situations that all of them know."""

from __future__ import annotations

import contextlib
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from hpo_env.controller import Controller
from tests.hpo_env.controlled_runs import fixed_policy
from tests.hpo_env.integrations.host_data import make_net, rows, tensors

FOREIGN = 0.0625  # exact in every precision
RATE = 0.25
DECAY = 0.125


class InterruptionError(Exception):
    """What a user's Ctrl-C stands for."""


def controller() -> Controller:
    """Make one that lowers everything in each interval, so that values are soon spent."""
    names = ("learning_rate", "weight_decay")
    return Controller(fixed_policy(-0.5, names, base_schedule="constant"))


class SteeredTraining(ABC):
    """A training that can be repeated: its framework's own object stays, with what it keeps.

    Attributes:
        num_steps: Updates in one training.
        started_from: What the user gave, by hyperparameter.
        refuses_foreign_writers: Whether the training ends where somebody else writes too.
    """

    num_steps = 16
    started_from: ClassVar[Mapping[str, float]] = {"learning_rate": RATE}
    refuses_foreign_writers = False

    @abstractmethod
    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        """Make what hangs the controller into a training.

        Args:
            state: A saved run to go on from; frameworks that keep it in their own checkpoints take
                none.
            total_steps: Where the framework does not tell, updates in the run, if not `num_steps`.
            **options: Further arguments, such as `validate` where the framework takes one.
        """

    @abstractmethod
    def train(
        self, callback: Any, at_step: Callable[[int], None], num_steps: int | None = None
    ) -> None:
        """Train from the framework's object as it is.

        Args:
            callback: What `new_callback` made.
            at_step: Called before each update.
            num_steps: Updates to make, where they are not all.
        """

    @abstractmethod
    def read(self) -> Mapping[str, float]:
        """Return the values that the object has now."""

    @abstractmethod
    def write(self, rate: float) -> None:
        """Set the learning rate as somebody else would, from within `at_step`."""

    def run(self, callback: Any) -> Any:
        """Return the run that a callback made last."""
        return callback.run


class _LightGBM(SteeredTraining):
    def __init__(self) -> None:
        self._host = pytest.importorskip("lightgbm")
        self._model: Any = None
        self._in_training: Any = None

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        from hpo_env.integrations.lightgbm import HPOControl

        return HPOControl(controller(), state=state, **options)

    def train(
        self, callback: Any, at_step: Callable[[int], None], num_steps: int | None = None
    ) -> None:
        x, y, vx, vy = rows()
        data = self._host.Dataset(x, y, free_raw_data=False)

        def before(env: Any) -> None:
            self._in_training = env.model
            at_step(env.iteration - env.begin_iteration)

        before.before_iteration = True  # type: ignore[attr-defined]
        self._model = self._host.train(
            {"objective": "binary", "verbose": -1, "num_threads": 1, "eta": RATE},
            data,
            num_steps or self.num_steps,
            valid_sets=[data.create_valid(vx, vy)],
            callbacks=[before, *callback.callbacks()],
            init_model=self._model,
        )

    def read(self) -> Mapping[str, float]:
        return {"learning_rate": self._model.params["learning_rate"]}

    def write(self, rate: float) -> None:
        self._in_training.reset_parameter({"learning_rate": rate})


class _XGBoost(SteeredTraining):
    def __init__(self) -> None:
        self._host = pytest.importorskip("xgboost")
        self._model: Any = None
        self._in_training: Any = None

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        from hpo_env.integrations.xgboost import HPOControlCallback

        total = total_steps or self.num_steps
        return HPOControlCallback(controller(), total_steps=total, state=state, **options)

    def train(
        self, callback: Any, at_step: Callable[[int], None], num_steps: int | None = None
    ) -> None:
        outer = self

        class Before(self._host.callback.TrainingCallback):  # type: ignore[misc,name-defined]
            def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                outer._in_training = model
                at_step(epoch - first)
                return False

        x, y, vx, vy = rows()
        first = 0 if self._model is None else self._model.num_boosted_rounds()
        parameters = {"objective": "binary:logistic", "nthread": 1}
        self._model = self._host.train(
            parameters if self._model is not None else parameters | {"eta": RATE},
            self._host.DMatrix(x, y),
            num_steps or self.num_steps,
            evals=[(self._host.DMatrix(vx, vy), "validation")],
            verbose_eval=False,
            callbacks=[Before(), callback],
            xgb_model=self._model,
        )

    def read(self) -> Mapping[str, float]:
        from hpo_env.integrations.xgboost import read_rate

        return {"learning_rate": read_rate(self._model)}

    def write(self, rate: float) -> None:
        self._in_training.set_param({"learning_rate": rate})


class _Keras(SteeredTraining):
    num_steps = 24
    started_from: ClassVar[Mapping[str, float]] = {"learning_rate": RATE, "weight_decay": DECAY}

    def __init__(self) -> None:
        os.environ["KERAS_BACKEND"] = "torch"
        self._host = pytest.importorskip("keras")
        x, _, _, _ = rows()
        layers = self._host.layers
        self._model = self._host.Sequential([self._host.Input((x.shape[1],)), layers.Dense(2)])
        loss = self._host.losses.SparseCategoricalCrossentropy(from_logits=True)
        self._model.compile(self._host.optimizers.AdamW(RATE, weight_decay=DECAY), loss=loss)

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        from hpo_env.integrations.keras import HPOControlCallback

        return HPOControlCallback(controller(), state=state, **options)

    def train(
        self, callback: Any, at_step: Callable[[int], None], num_steps: int | None = None
    ) -> None:
        steps = iter(range(num_steps or self.num_steps))
        before = self._host.callbacks.LambdaCallback()
        before.on_train_batch_begin = lambda batch, logs=None: at_step(next(steps))
        x, y, _, _ = rows()
        self._model.fit(
            x,
            y,
            batch_size=32,
            epochs=(num_steps or self.num_steps) // 6,
            shuffle=False,
            verbose=0,
            callbacks=[before, callback],
        )

    def read(self) -> Mapping[str, float]:
        optimizer = self._model.optimizer
        return {
            "learning_rate": float(optimizer.learning_rate),
            "weight_decay": float(optimizer.weight_decay),
        }

    def write(self, rate: float) -> None:
        self._model.optimizer.learning_rate = rate


class _Lightning(SteeredTraining):
    num_steps = 24
    started_from: ClassVar[Mapping[str, float]] = {"learning_rate": RATE, "weight_decay": DECAY}
    refuses_foreign_writers = True

    def __init__(self) -> None:
        self._host = host = pytest.importorskip("lightning.pytorch")
        outer = self

        class Module(host.LightningModule):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.net: Any = make_net()
                self.own = torch.optim.AdamW(self.parameters(), lr=RATE, weight_decay=DECAY)

            def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
                outer._at_step(self.global_step)
                return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

            def configure_optimizers(self) -> Any:
                return self.own

        self._module = Module()

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        from hpo_env.integrations.lightning import HPOControlCallback

        return HPOControlCallback(controller(), **options)

    def train(
        self, callback: Any, at_step: Callable[[int], None], num_steps: int | None = None
    ) -> None:
        self._at_step = at_step
        x, y, _, _ = tensors()
        dataset = torch.utils.data.TensorDataset(x, y)
        trainer = self._host.Trainer(
            max_epochs=4,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[callback],
        )
        trainer.fit(self._module, torch.utils.data.DataLoader(dataset, batch_size=32))

    def read(self) -> Mapping[str, float]:
        group = self._module.own.param_groups[0]
        return {"learning_rate": group["lr"], "weight_decay": group["weight_decay"]}

    def write(self, rate: float) -> None:
        self._module.own.param_groups[0]["lr"] = rate


class _Transformers(SteeredTraining):
    num_steps = 24
    started_from: ClassVar[Mapping[str, float]] = {"learning_rate": RATE, "weight_decay": DECAY}
    refuses_foreign_writers = True

    def __init__(self) -> None:
        self._host = pytest.importorskip("transformers")
        pytest.importorskip("accelerate")
        self._trainer: Any = None

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        from hpo_env.integrations.transformers import HPOControlCallback

        return HPOControlCallback(controller(), **options)

    def train(
        self, callback: Any, at_step: Callable[[int], None], num_steps: int | None = None
    ) -> None:
        class Before(self._host.TrainerCallback):  # type: ignore[misc,name-defined]
            def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                at_step(state.global_step)

        trainer = self._trainer = self._trainer or self._make()
        for one in list(trainer.callback_handler.callbacks):
            trainer.remove_callback(one)
        trainer.add_callback(self._host.trainer_callback.DefaultFlowCallback)
        trainer.add_callback(Before())
        trainer.add_callback(callback)
        trainer.train()

    def read(self) -> Mapping[str, float]:
        group = self._group()
        return {
            "learning_rate": group.get("initial_lr", group["lr"]),
            "weight_decay": group["weight_decay"],
        }

    def write(self, rate: float) -> None:
        self._group()["lr"] = rate

    def _group(self) -> dict[str, Any]:
        optimizer = self._trainer.optimizer
        group: dict[str, Any] = getattr(optimizer, "optimizer", optimizer).param_groups[0]
        return group

    def _make(self) -> Any:
        x, y, _, _ = tensors()
        arguments = self._host.TrainingArguments(
            output_dir="unused",
            num_train_epochs=4,
            per_device_train_batch_size=32,
            learning_rate=RATE,
            weight_decay=DECAY,
            lr_scheduler_type="constant",
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        data = [{"x": a, "labels": b} for a, b in zip(x, y, strict=True)]
        return self._host.Trainer(model=WithLoss(), args=arguments, train_dataset=data)


class WithLoss(torch.nn.Module):
    """A net with the interface of a transformer; without labels it has no loss of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.net: Any = make_net()

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, Any]:
        """Return logits, and the loss where there are labels."""
        logits = self.net(x)
        if labels is None:
            return {"logits": logits}
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class _StableBaselines(SteeredTraining):
    num_steps = 8

    def __init__(self) -> None:
        self._host = pytest.importorskip("stable_baselines3")
        outer = self

        class Agent(self._host.PPO):  # type: ignore[misc,name-defined]
            def train(self) -> None:
                outer._at_step(next(outer._steps))

        self._agent = Agent(
            "MlpPolicy",
            "CartPole-v1",
            learning_rate=RATE,
            n_steps=16,
            batch_size=16,
            seed=0,
            device="cpu",
            policy_kwargs={"net_arch": [4]},
        )

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        from hpo_env.integrations.sb3 import HPOControlCallback

        options = {"validate": lambda agent: 1.0} | options
        return HPOControlCallback(controller(), state=state, **options)

    def train(
        self, callback: Any, at_step: Callable[[int], None], num_steps: int | None = None
    ) -> None:
        num_steps = num_steps or self.num_steps
        self._at_step, self._steps = at_step, iter(range(num_steps))
        self._agent.learn(16 * num_steps, callback=callback)

    def read(self) -> Mapping[str, float]:
        return {"learning_rate": self._agent.lr_schedule(1.0)}

    def write(self, rate: float) -> None:
        self._agent.lr_schedule = lambda progress: rate


class _ScikitLearn(SteeredTraining):
    started_from: ClassVar[Mapping[str, float]] = {"learning_rate": RATE, "weight_decay": DECAY}

    def __init__(self) -> None:
        networks = pytest.importorskip("sklearn.neural_network")
        self._estimator = networks.MLPClassifier(
            4, solver="sgd", learning_rate_init=RATE, alpha=DECAY, random_state=0
        )
        self._run: Any = None

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        return controller(), {
            "state": state,
            "total_steps": total_steps or self.num_steps,
        } | options

    def train(
        self, callback: Any, at_step: Callable[[int], None], num_steps: int | None = None
    ) -> None:
        from hpo_env.integrations.sklearn import attach

        x, y, _, _ = rows()
        mine, options = callback
        self._run = attach(mine, self._estimator, **options)
        for step in range(num_steps or self.num_steps):
            at_step(step)
            self._estimator.partial_fit(x, y, classes=np.arange(2))
            self._run.step(self._estimator.loss_)
        self._run.close()

    def read(self) -> Mapping[str, float]:
        rate = self._estimator._optimizer.learning_rate_init
        return {"learning_rate": rate, "weight_decay": self._estimator.alpha}

    def write(self, rate: float) -> None:
        self._estimator._optimizer.learning_rate_init = rate

    def run(self, callback: Any) -> Any:
        return self._run


TRAININGS: dict[str, Callable[[], SteeredTraining]] = {
    "lightgbm": _LightGBM,
    "xgboost": _XGBoost,
    "keras": _Keras,
    "lightning": _Lightning,
    "transformers": _Transformers,
    "stable-baselines3": _StableBaselines,
    "scikit-learn": _ScikitLearn,
}


@contextlib.contextmanager
def interruption_at(step: int) -> Iterator[Callable[[int], None]]:
    """Give an `at_step` that interrupts, and stand what follows."""

    def at_step(now: int) -> None:
        if now == step:
            raise InterruptionError

    with contextlib.suppress(InterruptionError), warnings.catch_warnings():
        yield at_step
