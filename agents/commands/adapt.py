"""`hpo-control adapt`: adapt a policy to a task of one's own, and say what that has gained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from hpo_env.errors import ConfigurationError
from hpo_env.policy import Policy
from hpo_env.policy_file import CONTROLLER_FILE, save
from hpo_env.tasks.registry import FAMILIES, family_class, option_names

from ..family_options import FAMILY_OPTIONS, parse_family_options
from .help_texts import asks_for_short_help, short_help, with_all_help
from .outputs import check_folder
from .policies import load_policy

USUAL = ("family", "policy", "steps", "out", "seed", "progress")
"""What `--help` explains."""

_FEWEST_JUDGING = 8
_RESULT = "adapted.json"


@dataclass(frozen=True, kw_only=True)
class AdaptConfig:
    """Adapt a policy to a task of your own, and compare it on held-out rows with what it was.

    Args:
        family: The family of the task.
        policy: What to start from: the name of a policy that we ship, or a folder. Not given: the
            one of the family's name.
        steps: Decision intervals of runs of your task, all together.
        out: The folder of the adapted policy.
        family_options: Options of the family that make the task yours, for instance
            `dataset=mine.csv model=mlp_256x3_relu`; each is also a flag of its own.
        judging_runs: Runs on held-out rows that the outcome is measured by, at least 8.
        seed: All that is random follows from it.
        progress: bar, lines, quiet, or auto: a bar on a terminal, lines elsewhere.
    """

    family: tyro.conf.Positional[str]
    policy: str | None = None
    steps: int = 20_000
    out: Path = Path("adapted")
    family_options: Annotated[Mapping[str, Any], FAMILY_OPTIONS] = field(default_factory=dict)
    judging_runs: int = 64
    seed: int = 0
    progress: str = "auto"


def main(args: Sequence[str]) -> None:
    """Adapt as the arguments say."""
    prog = "hpo-control adapt"
    if asks_for_short_help(args):
        more = "Options of the family are flags, too: --dataset mine.csv --model mlp_256x3_relu."
        print(short_help(AdaptConfig, USUAL, prog=prog, names={"family": FAMILIES}, more=more))
        return
    own, options = split_options(with_all_help(args))
    config = tyro.cli(AdaptConfig, args=own, prog=prog)
    run(replace(config, family_options={**config.family_options, **options}))


def split_options(args: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Tell the command's own arguments from options of the family that were given as flags.

    Example:
        >>> split_options(["supervised", "--dataset", "a.csv", "--steps", "9000"])
        (['supervised', '--steps', '9000'], {'dataset': 'a.csv'})
    """
    families = [arg for arg in args if arg in FAMILIES] or [arg for arg in args if ":" in arg]
    names = option_names(family_class(families[0])) if families else ()
    own: list[str] = []
    options: dict[str, list[str]] = {}
    target = own
    for arg in args:
        flag, equals, value = arg.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if arg.startswith("--") and name in (names or ()):
            target = options.setdefault(name, [])
            if equals:
                target.append(value)
        elif arg.startswith("--"):
            target = own
            own.append(arg)
        else:
            target.append(arg)
    for name, values in options.items():
        if not values:
            raise ConfigurationError(f"--{name} needs a value")
    return own, {name: _value(name, values) for name, values in options.items()}


def _value(name: str, words: Sequence[str]) -> Any:
    values = [parse_family_options([f"{name}={word}"])[name] for word in words]
    return values[0] if len(values) == 1 else values


def run(config: AdaptConfig) -> None:
    """Adapt, write the policy, and print what it has gained.

    Raises:
        PolicyFileError: There is no policy, or it cannot be used.
        ConfigurationError: The policy is of another family, the folder holds a policy already, or
            the steps are too few.
        DatasetError: The data is too little, or cannot be read.
        KeyboardInterrupt: The user pressed Ctrl-C; the best so far is in the folder.
    """
    import torch

    from ..adapting import Adaptation, OwnTask

    torch.set_num_threads(1)
    _check_arguments(config)
    policy = load_policy(config.family if config.policy is None else config.policy)
    _check_policy(config, policy)
    task = OwnTask(family=config.family, options=config.family_options, seed=config.seed)
    adaptation = Adaptation(policy, task, steps=config.steps)
    check_folder(config.out)
    try:
        _search(adaptation, config)
    except KeyboardInterrupt:
        _write(adaptation, config, {})
        print(f"\ninterrupted. The best so far is in {config.out}: {_said(adaptation)}")
        raise
    result = _judged(adaptation, config)
    _write(adaptation, config, result)
    print(_table(result))
    print(f"{_said(adaptation)}\npolicy: {config.out}")


def _check_arguments(config: AdaptConfig) -> None:
    family_class(config.family)
    for name, lowest in (("judging_runs", _FEWEST_JUDGING), ("seed", 0)):
        if getattr(config, name) < lowest:
            raise ConfigurationError(
                f"{name} must be at least {lowest}; got {getattr(config, name)}"
            )
    if (config.out / CONTROLLER_FILE).exists():
        raise ConfigurationError(f"{config.out} holds a policy already: give another folder, --out")
    if "split" in config.family_options:
        raise ConfigurationError("split is chosen here, by what each part is for: leave it out")


def _check_policy(config: AdaptConfig, policy: Policy) -> None:
    if policy.family != config.family:
        raise ConfigurationError(
            f"a policy of {policy.family!r} cannot be adapted to {config.family!r}: give one of "
            "that family, --policy"
        )


def _search(adaptation: Any, config: AdaptConfig) -> None:
    from ..progress import make_display

    total = adaptation.num_generations * adaptation.steps_of_generation
    with make_display(config.progress, total_steps=total) as display:
        display.say(
            f"adapting to your task: {adaptation.num_generations} generations, {total:,} steps. "
            "validation: fall of the log loss against the policy as it was"
        )
        adaptation.run(lambda p: display.segment(p.steps, p.gained, p.is_best))


def _judged(adaptation: Any, config: AdaptConfig) -> dict[str, Any]:
    """Measure both on rows that nothing of the adaptation has seen."""
    from ..adapting import Judgement, losses

    task = adaptation.task
    runs, workload = task.draw("held_out", config.judging_runs), task.workload()
    before = losses(workload, adaptation.start, runs, of_test=True)
    after = before
    if adaptation.judged is not None:
        after = losses(workload, adaptation.policy, runs, of_test=True)
    judged = Judgement(before=before, after=after)
    return {
        "runs": len(runs),
        "before": float(before.mean()),
        "after": float(after.mean()),
        "difference": judged.difference,
        "half_interval": 1.96 * judged.standard_error,
        "probability": judged.probability,
        "worst": float((after - before).max()),
    }


def _write(adaptation: Any, config: AdaptConfig, result: Mapping[str, Any]) -> None:
    from ..whole_files import to_json_bytes, write_atomically

    policy: Policy = adaptation.policy
    adapted = {
        "to": {"family": config.family, "options": dict(config.family_options)},
        "steps": config.steps,
        "seed": config.seed,
        "is_changed": adaptation.judged is not None,
    }
    metadata = {**policy.metadata, "adapted": _plain(adapted)}
    save(replace(policy, metadata=metadata), config.out)
    write_atomically(config.out / _RESULT, to_json_bytes(_plain(adapted | {"held_out": result})))


def _plain(data: Any) -> Any:
    from ..learners.provenance import plain

    return plain(data)


def _said(adaptation: Any) -> str:
    if adaptation.judged is None:
        return "nothing was better than the policy as it was, which is kept"
    fall = -adaptation.judged.difference
    start = adaptation.policy.learned_start.cases[-1].values
    begins = ", ".join(f"{name} {value:.3g}" for name, value in start.items())
    return f"adapted: log loss lower by {fall:.3f} on validation tasks; runs begin at {begins}"


def _table(result: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            f"log test loss, mean of {result['runs']} runs on held-out data:",
            f"  as it was  {result['before']:8.4f}",
            f"  adapted    {result['after']:8.4f}",
            f"  difference {result['difference']:+8.4f} ± {result['half_interval']:.4f} (95 %), "
            f"lower in {100 * result['probability']:.0f} % of the runs, at worst "
            f"{result['worst']:+.4f}",
        ]
    )
