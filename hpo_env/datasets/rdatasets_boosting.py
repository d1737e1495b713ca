"""Further tables of R packages, with categories and missing cells, that only trees draw from.

They are on request, so that what other families draw from stays as it is. A table that shares its
rows with one of another name lies on the same side as that one. See `rdatasets_tables.py` for what
an entry says.
"""

from __future__ import annotations

from hpo_env.datasets.rdatasets_tables import RdatasetsTable

TABLES: tuple[RdatasetsTable, ...] = ()
