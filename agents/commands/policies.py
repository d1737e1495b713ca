"""How commands find the policy that they are given, and the family that it is used on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpo_env.arguments import is_folder
from hpo_env.controller import Controller
from hpo_env.errors import PolicyFileError
from hpo_env.policy import Policy
from hpo_env.policy_file import CONTROLLER_FILE, load
from hpo_env.restriction import restrict
from hpo_env.shipped import shipped


def load_policy(name_or_path: str, hyperparameters: Sequence[str] | None = None) -> Policy:
    """Load a policy by the name of one that we ship, from its folder or from a run folder.

    Args:
        name_or_path: Which policy.
        hyperparameters: What it can move; None leaves all to it.

    Raises:
        PolicyFileError: There is none.
        UnknownNameError: It does not move what is named.
    """
    if name_or_path not in shipped() and is_folder(name_or_path):
        policy = load(policy_folder(Path(name_or_path)))
    else:
        policy = Controller.from_pretrained(name_or_path).policy
    return policy if hyperparameters is None else restrict(policy, hyperparameters)


def policy_folder(path: Path) -> Path:
    """Find the policy in a policy folder or in a run folder.

    Raises:
        PolicyFileError: There is none; says whether the run has not come so far.
    """
    try:
        found = [f for f in (path, path / "policy") if (f / CONTROLLER_FILE).is_file()]
        is_run = (path / "config.json").is_file()
    except OSError as error:
        raise PolicyFileError(f"{path}: cannot be read: {error.strerror}") from error
    if found:
        return found[0]
    if is_run:
        raise PolicyFileError(
            f"{path}: this run has exported no policy yet; go on with it by "
            f"hpo-control train --resume {path}"
        )
    raise PolicyFileError(
        f"{path}: no policy there. Give a folder with {CONTROLLER_FILE}, or a run folder of "
        "hpo-control train"
    )
