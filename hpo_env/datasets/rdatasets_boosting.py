"""Further tables of R packages, with categories and missing cells, that only trees draw from.

They are on request, so that what other families draw from stays as it is. Data of the same source
lies on one side: the General Social Survey and what Lending Club lent are on the test side, the
World Values Survey and the panels of US wages are in training.
"""

from __future__ import annotations

from hpo_env.datasets import rdatasets_boosting_classes, rdatasets_boosting_numbers

TABLES = (*rdatasets_boosting_classes.TABLES, *rdatasets_boosting_numbers.TABLES)
