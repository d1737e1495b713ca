"""`hpo-control fit`: boosting on a user's own table, and predictions for new rows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from hpo_env.datasets.csv_header import read_header
from hpo_env.datasets.dresses import find_dresses
from hpo_env.datasets.encoding import infer_kind
from hpo_env.errors import DatasetError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

_SHOWN_ROWS = 6
_MAX_EXAMINED = 1000  # distinct texts of a column
_MOSTLY = 0.9
_READ_BY = {
    "decimal commas": "--decimal ,",
    "thousands separators": "--thousands with the separator (or --decimal , if they are decimals)",
    "thousands separators and decimal commas": "--thousands . --decimal ,",
}
"""What reads numbers that have become texts, by what `find_dresses` calls them."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Fit the table of a CSV or Parquet file, with no search, and predict the rows of another.

    Texts, truth values and empty cells are taken as they come, numbers with commas by options.

    Args:
        file: The file.
        target: Name of the column that is to be predicted.
        new: A file with the other columns, whose rows are to be predicted.
        out: Where the predictions go, as CSV: the columns of `new`, the prediction, and for classes
            how likely each is.
        course: Where the course of the hyperparameters goes, as CSV or JSON.
        kind: regression or classification; found out when not given.
        drop: Columns that are left out, such as numbers of rows.
        decimal: What stands before decimals in CSV files.
        thousands: What separates thousands there; nothing when not given.
        runs: Controlled runs; more than one make an ensemble.
        time_budget: Seconds for the whole fit; as long as it takes when not given.
        library: lightgbm or xgboost.
        policy: Name of a shipped policy, or a folder.
        seed: Of everything that is random.
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    target: str
    new: Path | None = None
    out: Path = Path("predictions.csv")
    course: Path | None = None
    kind: Literal["regression", "classification"] | None = None
    drop: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[COLUMN ...]")] = ()
    decimal: str = "."
    thousands: str | None = None
    runs: int = 1
    time_budget: float | None = None
    library: str = "lightgbm"
    policy: str = "automl"
    seed: int = 0


def main(args: Sequence[str]) -> None:
    """Fit as the arguments say."""
    run(tyro.cli(FitConfig, args=list(args), prog="hpo-control fit"))


def run(config: FitConfig) -> None:
    """Fit, say what was found, and write predictions.

    Raises:
        DatasetError: A file cannot be used or written.
        ConfigurationError: An argument is out of range.
        UnknownNameError: There is no column of a name.
    """
    from hpo_env.automl import ControlledBoostingClassifier, ControlledBoostingRegressor

    x, y, new = _tables(config)
    kind = infer_kind(y.to_numpy()) if config.kind is None else config.kind
    estimator = ControlledBoostingRegressor
    if kind == "classification":
        estimator, y = ControlledBoostingClassifier, y.astype(str)
    model = estimator(
        policy=config.policy,
        library=config.library,
        n_runs=config.runs,
        time_budget=config.time_budget,
        random_state=config.seed,
        progress_bar=True,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the notes are printed below
        model.fit(x, y)
        predicted = None if new is None else predictions(model, new, list(x.columns))
    _say(kind, model)
    try:
        if config.course is not None:
            print(f"course: {model.save_schedule(config.course)}")
        if predicted is not None:
            config.out.parent.mkdir(parents=True, exist_ok=True)
            predicted.to_csv(config.out, index=False)
            print(f"{len(predicted)} rows predicted: {config.out}")
    except OSError as error:
        raise DatasetError(f"{config.out}: cannot be written: {error}") from error


def _tables(config: FitConfig) -> tuple[pd.DataFrame, pd.Series[Any], pd.DataFrame | None]:
    """Read the columns to predict from, what is to be predicted, and the new rows."""
    style = {"decimal": config.decimal, "thousands": config.thousands}
    x = read_frame(config.file, **style)
    new = None if config.new is None else read_frame(config.new, **style)
    for name in (config.target, *config.drop):
        if name not in x.columns:
            raise unknown_name(f"column of {config.file}", name, map(str, x.columns))
    is_known = x[config.target].notna()
    if not is_known.all():
        print(f"{(~is_known).sum()} rows without {config.target!r} are left out")
        x = x[is_known]
    x = x.drop(columns=list(config.drop))
    _check_texts(config.file, x)
    y = x.pop(config.target)
    missing = [] if new is None else [str(name) for name in x.columns if name not in new.columns]
    if missing:
        raise DatasetError(
            f"{config.new}: columns {missing[:5]} must be there, as in {config.file}"
        )
    if new is not None:
        _check_texts(config.new, new[list(x.columns)])
    return x, y, new


def read_frame(path: Path, **style: str | None) -> pd.DataFrame:
    """Read a Parquet file, or a CSV file whatever separates its fields.

    Args:
        path: The file.
        style: `decimal` and `thousands` of `pandas.read_csv`.

    Raises:
        DatasetError: It cannot be read, or has no row.
    """
    import pandas as pd

    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path, style)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(f"{path}: cannot be read as a table: {error}") from error
    if not len(frame):
        raise DatasetError(f"{path}: the table has no row")
    return frame


def _read_csv(path: Path, style: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    header = read_header(path)
    frame: pd.DataFrame = pd.read_csv(
        path, sep=header.delimiter, encoding="utf-8-sig", skiprows=header.lines_above, **style
    )
    return frame


def _check_texts(path: Path | None, frame: pd.DataFrame) -> None:
    """Refuse texts that are numbers with commas, nearly all of a column: they would be categories.

    Raises:
        DatasetError: There are such; the option that reads them is named.
    """
    from pandas.api.types import is_numeric_dtype

    for name in frame.columns:
        if is_numeric_dtype(frame[name].dtype):
            continue
        distinct = frame[name].dropna().unique()[:_MAX_EXAMINED]
        texts = [text for text in distinct if isinstance(text, str)]
        odd = [place for place, text in enumerate(texts) if not _is_number(text)]
        dresses = {k: d for k, d in find_dresses(texts, odd).items() if d.what in _READ_BY}
        if dresses and len(texts) - len(odd) + len(dresses) > _MOSTLY * len(texts):
            place, dress = next(iter(dresses.items()))
            raise DatasetError(
                f"{path}: column {name!r} would be texts though it is mostly numbers, such as "
                f"{texts[place]!r}: {dress.what}. Give {_READ_BY[dress.what]} -- or --drop it"
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def predictions(model: Any, new: pd.DataFrame, columns: Sequence[Any]) -> pd.DataFrame:
    """Return new rows with what is predicted of each."""
    made = new.assign(predicted=model.predict(new[columns]))
    if hasattr(model, "classes_"):
        shares = model.predict_proba(new[columns])
        for place, name in enumerate(model.classes_):
            made[f"likely {name}"] = shares[:, place]
    return made


def _say(kind: str, model: Any) -> None:
    """Print what was found."""
    loss = "log loss" if kind == "classification" else "root mean square error, in deviations,"
    print(f"{kind}: {loss} {model.best_score_:.4g} on the rows that were set aside")
    print(f"cut off after {model.n_iter_} rounds; grown on all rows: {model.is_refitted_}")
    rows = model.course_
    for row in rows[:: max(len(rows) // _SHOWN_ROWS, 1)]:
        values = ", ".join(f"{name} {value:.3g}" for name, value in row.items() if name != "step")
        print(f"from round {row['step']:3.0f}: {values}")
    for note in model.notes_:
        print(f"note: {note}")
