from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.commands.train import main, parse
from agents.config import PRESETS, TrainConfig
from agents.learners.registry import LEARNERS
from agents.learners.settings import A2CSettings, OffPolicySettings, PPOSettings
from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.tasks.registry import FAMILIES, family_class


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("agent", LEARNERS)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_family_agent_and_preset_resolves_and_survives_json(
    family: str, agent: str, preset: str
) -> None:
    config = TrainConfig(family=family, agent=agent, preset=preset).resolved()
    assert config.steps == PRESETS[preset]["steps"]
    of_family = family_class(family).agent_settings.get(agent, {})
    gamma = of_family.get("gamma", 1.0)
    assert agent == "ars" or config.to_json()["settings"]["gamma"] == gamma
    assert config.steps is not None
    assert config.segment_bounds()[-1] >= config.steps
    again = TrainConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert again == config
    assert again.resolved() == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": "supervized"}, "did you mean 'supervised'"),
        ({"agent": "pppo"}, "did you mean 'ppo'"),
        ({"preset": "fast"}, "Allowed: full, quick, standard"),
        ({"engine": "eagre"}, "did you mean 'eager'"),
        ({"base_schedule": "cosin"}, "did you mean 'cosine'"),
        ({"progress": "bars"}, "did you mean 'bar'"),
        ({"action_mode": "discreet"}, "did you mean 'discrete'"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(settings: dict[str, str], message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        TrainConfig.of(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_envs": 0}, "num_envs must be at least 1; got 0"),
        ({"steps": 0}, "steps must be at least 1; got 0"),
        ({"seed": -1}, "seed must be at least 0; got -1"),
        ({"ent_coef": float("nan")}, "ent_coef must be at least 0; got nan"),
        ({"gamma": 1.5}, r"gamma must lie in \[0, 1\]; got 1.5"),
        ({"learning_rate": 0.0}, "learning_rate must be positive and finite; got 0.0"),
        ({"learning_rate": float("inf")}, "learning_rate must be positive and finite; got inf"),
        ({"net_arch": ()}, "net_arch must name the width of at least one layer"),
        ({"agent": "sac", "action_mode": "discrete"}, "take one of ppo, a2c, dqn, recurrent_ppo"),
        ({"agent": "dqn", "action_mode": "continuous"}, "take one of ppo, a2c, sac, td3, tqc"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TrainConfig.of(**settings)


def test_a_setting_that_the_agent_does_not_read_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'sac' does not read n_epochs; it reads batch_s"):
        TrainConfig.of(agent="sac", n_epochs=3)


def test_a_batch_that_does_not_divide_the_rollout_is_refused_with_the_nearest_that_does() -> None:
    config = TrainConfig.of(num_envs=10, n_steps=12, batch_size=50)
    with pytest.raises(ConfigurationError, match=r"= 120; got 50, the nearest that does is 60"):
        config.resolved()


def test_what_is_given_wins_over_the_preset() -> None:
    config = TrainConfig.of(preset="quick", steps=7, gamma=0.5).resolved()
    assert (config.steps, config.settings) == (7, PPOSettings(gamma=0.5, batch_size=512))
    assert config.segment_steps == PRESETS["quick"]["segment_steps"]


def test_a_configuration_of_another_version_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="'momentum_of_agent'"):
        TrainConfig.from_json({"momentum_of_agent": 1})


def test_command_line_flags_win_over_the_preset_in_any_order() -> None:
    config = parse(["--steps", "900", "--preset=quick", "--agent", "a2c", "--gamma=0.9"])
    assert (config.steps, config.agent, config.settings) == (900, "a2c", A2CSettings(gamma=0.9))
    assert config.validation_lanes == PRESETS["quick"]["validation_lanes"]


def test_command_line_rollout_settles_the_batch_size() -> None:
    config = parse(["--num-envs", "7", "--n-steps", "3"])
    assert config.settings == PPOSettings(n_steps=3, batch_size=21)


def test_family_options_are_read_as_json_or_as_text() -> None:
    config = parse(["--family-options", "dataset=wine", "updates_per_decision=5"])
    assert config.family_options == {"dataset": "wine", "updates_per_decision": 5}
    assert config.env_arguments()["dataset"] == "wine"


def test_lists_of_names_are_read() -> None:
    config = parse(["--hyperparameters", "learning_rate", "momentum", "--net-arch", "32"])
    assert config.hyperparameters == ("learning_rate", "momentum")
    assert config.settings == PPOSettings(net_arch=(32,), batch_size=512)


def test_resume_takes_no_other_settings() -> None:
    assert parse(["--resume", "logs/x"]).resume == Path("logs/x")
    assert parse(["--resume=logs/x", "--progress", "lines"]).progress == "lines"
    with pytest.raises(ConfigurationError, match=r"takes no others; got \['--steps'\]"):
        parse(["--resume", "logs/x", "--steps=5"])


def test_the_whole_help_explains_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["--help-all", "--preset", "quick"])
    assert exit_info.value.code == 0
    shown = capsys.readouterr().out
    for name in {*TrainConfig.__dataclass_fields__, *PPOSettings.names()} - {"settings"}:
        assert f"--{name.replace('_', '-')}" in shown
    assert str(PRESETS["quick"]["steps"]) in shown
    assert "--buffer-size" not in shown
    for name in (*FAMILIES, *LEARNERS):
        assert name in shown


def test_the_command_line_takes_the_settings_of_its_agent_and_no_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = parse(["--agent", "sac", "--buffer-size", "900"])
    assert config.settings == OffPolicySettings(buffer_size=900)
    with pytest.raises(SystemExit):
        parse(["--agent", "sac", "--n-epochs", "3"])
    assert "--n-epochs" in capsys.readouterr().err


def test_the_familys_wishes_count_unless_something_else_is_asked_for() -> None:
    config = TrainConfig.of(family="quadratic", n_steps=7).resolved()
    assert config.settings == PPOSettings(n_steps=7, learning_rate=3e-3, batch_size=448)
    assert TrainConfig(family="local_level").resolved().base_schedule == "constant"


def test_another_agent_forgets_what_the_first_was_told() -> None:
    config = TrainConfig.of(n_steps=7)
    assert config.with_values(gamma=0.9).settings == PPOSettings(n_steps=7, gamma=0.9)
    assert config.with_values(agent="a2c", gamma=0.9).settings == A2CSettings(gamma=0.9)
    wrong = TrainConfig(agent="sac", settings=PPOSettings())
    with pytest.raises(ConfigurationError, match=r"kind OffPolicySettings; got PPOSettings"):
        wrong.resolved()


@pytest.mark.parametrize("agent", ["ppo", "sac", "recurrent_ppo"])
def test_a_flat_configuration_of_an_earlier_version_means_the_same(agent: str) -> None:
    config = TrainConfig(family="quadratic", agent=agent).resolved()
    data = json.loads(json.dumps(config.to_json()))
    flat = {"n_epochs": None, "buffer_size": None, "critic": None} | data | data["settings"]
    del flat["settings"]
    assert TrainConfig.from_json(flat) == config
