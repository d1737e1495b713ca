"""One small training in each framework, with a controller; see `hpo_env.testing.situations`."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from hpo_env.testing.situations import DECAY, RATE, SteeredTraining, lowering_controller
from tests.hpo_env.integrations.host_data import make_net, rows, tensors

Array = np.ndarray[Any, Any]


class InLightGBM(SteeredTraining):
    """Boosting by `lightgbm.train`."""

    without_loss = "refused"
    is_lost_when_interrupted = True

    def __init__(self) -> None:
        self._host = pytest.importorskip("lightgbm")
        self._metric = "binary_logloss"
        self._model: Any = None
        self._in_training: Any = None

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        from hpo_env.integrations.lightgbm import HPOControl

        return HPOControl(lowering_controller(), state=state, **options)

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
            {
                "objective": "binary",
                "verbose": -1,
                "num_threads": 1,
                "eta": RATE,
                "metric": self._metric,
            },
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

    def lose_losses(self) -> None:
        self._metric = "auc"


class InXGBoost(SteeredTraining):
    """Boosting by `xgboost.train`."""

    without_loss = "refused"
    is_lost_when_interrupted = True

    def __init__(self) -> None:
        self._host = pytest.importorskip("xgboost")
        self._metric = "logloss"
        self._model: Any = None
        self._in_training: Any = None

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        from hpo_env.integrations.xgboost import HPOControlCallback

        total = total_steps or self.num_steps
        return HPOControlCallback(lowering_controller(), total_steps=total, state=state, **options)

    def train(
        self, callback: Any, at_step: Callable[[int], None], num_steps: int | None = None
    ) -> None:
        outer = self

        class Before(self._host.callback.TrainingCallback):  # type: ignore[name-defined]
            def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                outer._in_training = model
                at_step(epoch - first)
                return False

        x, y, vx, vy = rows()
        first = 0 if self._model is None else self._model.num_boosted_rounds()
        parameters = {
            "objective": "binary:logistic",
            "nthread": 1,
            "eval_metric": self._metric,
        }
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

    def lose_losses(self) -> None:
        self._metric = "auc"


class InKeras(SteeredTraining):
    """`Model.fit`."""

    takes_validate = True
    has_batches = True
    num_steps = 24
    started_from: ClassVar[Mapping[str, float]] = {"learning_rate": RATE, "weight_decay": DECAY}

    def __init__(self) -> None:
        os.environ["KERAS_BACKEND"] = "torch"
        self._host = pytest.importorskip("keras")
        x, _, _, _ = rows()
        self._x = x.copy()
        layers = self._host.layers
        self._model = self._host.Sequential(
            [self._host.Input((x.shape[1],)), layers.BatchNormalization(), layers.Dense(2)]
        )
        loss = self._host.losses.SparseCategoricalCrossentropy(from_logits=True)
        self._model.compile(self._host.optimizers.AdamW(RATE, weight_decay=DECAY), loss=loss)

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        from hpo_env.integrations.keras import HPOControlCallback

        return HPOControlCallback(lowering_controller(), state=state, **options)

    def train(
        self, callback: Any, at_step: Callable[[int], None], num_steps: int | None = None
    ) -> None:
        _, y, _, _ = rows()

        def batches() -> Any:
            for step in range(num_steps or self.num_steps):
                at_step(step)
                part = slice(32 * (step % 6), 32 * (step % 6) + 32)
                yield self._x[part].copy(), y[part]
                np.copyto(self._x, rows()[0])

        self._model.fit(
            batches(),
            steps_per_epoch=6,
            epochs=(num_steps or self.num_steps) // 6,
            verbose=0,
            callbacks=[callback],
        )

    def spoil(self) -> None:
        self._x[:] = math.inf

    def is_sound(self) -> bool:
        return bool(np.isfinite(self._model.predict(rows()[0], verbose=0)).all())

    def read(self) -> Mapping[str, float]:
        optimizer = self._model.optimizer
        return {
            "learning_rate": float(optimizer.learning_rate),
            "weight_decay": float(optimizer.weight_decay),
        }

    def write(self, rate: float) -> None:
        self._model.optimizer.learning_rate = rate


class InLightning(SteeredTraining):
    """`Trainer.fit`."""

    num_steps = 24
    started_from: ClassVar[Mapping[str, float]] = {"learning_rate": RATE, "weight_decay": DECAY}
    foreign_writers = "refused"
    has_own_checkpoints = True
    has_param_groups = True
    takes_validate = True
    has_batches = True

    def __init__(self) -> None:
        self._host = host = pytest.importorskip("lightning.pytorch")
        outer = self

        class Module(host.LightningModule):  # type: ignore[name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.net: Any = make_net()
                self.own = torch.optim.AdamW(self.parameters(), lr=RATE, weight_decay=DECAY)

            def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
                outer._at_step(self.global_step)
                scale, outer._scale = outer._scale, 1.0
                return torch.nn.functional.cross_entropy(self.net(batch[0] * scale), batch[1])

            def configure_optimizers(self) -> Any:
                return self.own

        self._module = Module()
        self._scale = 1.0

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        from hpo_env.integrations.lightning import HPOControlCallback

        return HPOControlCallback(lowering_controller(), **options)

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

    def spoil(self) -> None:
        self._scale = math.inf

    def is_sound(self) -> bool:
        return all(bool(weight.isfinite().all()) for weight in self._module.parameters())

    def add_group(self, rate: float) -> None:
        self._module.own.add_param_group({"params": [new_weight()], "lr": rate})

    def read_added(self) -> float:
        return float(self._module.own.param_groups[-1]["lr"])


class InTransformers(SteeredTraining):
    """Hugging Face's `Trainer.train`."""

    num_steps = 24
    started_from: ClassVar[Mapping[str, float]] = {"learning_rate": RATE, "weight_decay": DECAY}
    foreign_writers = "refused"
    has_own_checkpoints = True
    has_param_groups = True
    takes_validate = True
    has_batches = True

    def __init__(self) -> None:
        self._host = pytest.importorskip("transformers")
        pytest.importorskip("accelerate")
        self._trainer: Any = None

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        from hpo_env.integrations.transformers import HPOControlCallback

        return HPOControlCallback(lowering_controller(), **options)

    def train(
        self, callback: Any, at_step: Callable[[int], None], num_steps: int | None = None
    ) -> None:
        class Before(self._host.TrainerCallback):  # type: ignore[name-defined]
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

    def spoil(self) -> None:
        self._trainer.model.scale = math.inf

    def is_sound(self) -> bool:
        return all(bool(weight.isfinite().all()) for weight in self._trainer.model.parameters())

    def add_group(self, rate: float) -> None:
        self._optimizer().add_param_group({"params": [new_weight()], "lr": rate})

    def read_added(self) -> float:
        return float(self._optimizer().param_groups[-1]["lr"])

    def _optimizer(self) -> Any:
        optimizer = self._trainer.optimizer
        return getattr(optimizer, "optimizer", optimizer)

    def _group(self) -> dict[str, Any]:
        group: dict[str, Any] = self._optimizer().param_groups[0]
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
        self.scale = 1.0

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, Any]:
        """Return logits, and the loss where there are labels."""
        scale, self.scale = self.scale, 1.0
        logits = self.net(x * scale)
        if labels is None:
            return {"logits": logits}
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class InStableBaselines(SteeredTraining):
    """`learn` of an agent, whose update is a rollout."""

    num_steps = 8
    without_loss = "kept"

    def __init__(self) -> None:
        self._host = pytest.importorskip("stable_baselines3")
        self._has_losses = True
        outer = self

        class Agent(self._host.PPO):  # type: ignore[name-defined]
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

        measured = itertools.count(1)
        validate = {
            True: lambda agent: 1.0 / next(measured),
            False: lambda agent: None,
        }[self._has_losses]
        options = {"validate": validate} | options
        return HPOControlCallback(lowering_controller(), state=state, **options)

    def train(
        self, callback: Any, at_step: Callable[[int], None], num_steps: int | None = None
    ) -> None:
        num_steps = num_steps or self.num_steps
        self._at_step, self._steps = at_step, iter(range(num_steps))
        self._agent.learn(16 * num_steps, callback=callback)

    def read(self) -> Mapping[str, float]:
        return {"learning_rate": self._agent.lr_schedule(1.0)}

    def lose_losses(self) -> None:
        self._has_losses = False

    def write(self, rate: float) -> None:
        self._agent.lr_schedule = lambda progress: rate


class InScikitLearn(SteeredTraining):
    """A loop over `partial_fit` of a network, which knows its own loss."""

    takes_validate = True
    started_from: ClassVar[Mapping[str, float]] = {"learning_rate": RATE, "weight_decay": DECAY}

    def __init__(self) -> None:
        networks = pytest.importorskip("sklearn.neural_network")
        self._estimator = networks.MLPClassifier(
            4, solver="sgd", learning_rate_init=RATE, alpha=DECAY, random_state=0
        )
        self._run: Any = None

    def new_callback(self, state: Any = None, total_steps: int = 0, **options: Any) -> Any:
        return lowering_controller(), {
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


def new_weight() -> torch.nn.Parameter:
    """Return a weight for a group that is added; it has no gradient."""
    return torch.nn.Parameter(torch.zeros(2))
