"""Tables with their categories as they are."""

import numpy as np
import pandas as pd
import pytest

from hpo_env.datasets import dataset_names, load_dataset, load_mixed
from hpo_env.datasets.mixed import mix
from hpo_env.datasets.rdatasets_boosting import TABLES


def test_categories_become_codes_in_the_alphabet_s_order_and_gaps_stay_gaps() -> None:
    frame = pd.DataFrame(
        {
            "size": [1.0, np.nan, 3.0, 4.0],
            "town": ["b", "a", None, "b"],
            "same": ["x"] * 4,
            "flag": [True, False, True, True],
        }
    )
    table = mix("made up", "classification", frame, np.array(["no", "yes"] * 2), target_name="t")
    assert table.column_names == ("size", "town", "flag")
    assert table.is_categorical.tolist() == [False, True, False]
    np.testing.assert_array_equal(table.x[:, 0], [1.0, np.nan, 3.0, 4.0])
    np.testing.assert_array_equal(table.x[:, 1], [1.0, 0.0, np.nan, 1.0])
    assert table.y.tolist() == [0.0, 1.0, 0.0, 1.0]


def test_rows_and_targets_are_those_of_the_encoded_data_set() -> None:
    for name in ("credit", "diabetes"):
        mixed, encoded = load_mixed(name), load_dataset(name)
        assert len(mixed.x) == len(encoded.x)
        np.testing.assert_array_equal(mixed.y, encoded.y)
        assert mixed.num_classes == encoded.num_classes
        with pytest.raises(ValueError, match="read-only"):
            mixed.x[0] = 0.0


def test_tables_of_trees_alone_are_listed_for_nobody_else() -> None:
    own = {table.name for table in TABLES}
    assert len(own) >= 50
    assert not own & set(dataset_names())
