"""The style sheet of the report: light and dark, wide and narrow, screen and paper."""

STYLE = """\
:root { --paper: #ffffff; --ink: #1f1f1f; --quiet: #5c5c5c; --line: #d5d5d5; --shade: #f4f4f2;
  --blue: #0072B2; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #17181a; --ink: #e8e6e3; --quiet: #a9a7a3; --line: #3a3c40; --shade: #212327;
    --blue: #4FA3DB; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
.facts { display: grid; gap: .6rem; margin: 0;
  grid-template-columns: repeat(auto-fit, minmax(min(15rem, 100%), 1fr)); }
.facts div { background: var(--shade); padding: .5rem .7rem; border-radius: .3rem; }
dt { color: var(--quiet); font-size: .85rem; }
dd { margin: 0; }
figure { margin: 1.4rem 0; break-inside: avoid; }
figcaption, .note { color: var(--quiet); font-size: .9rem; max-width: 46rem; }
.panels { display: grid; gap: .6rem; justify-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); }
.panels figure { margin: 0; width: 100%; }
.panels figcaption { display: none; }
.panels svg { min-width: 0 !important; }
.wide { overflow-x: auto; }
figure svg { display: block; width: 100%; height: auto; color: var(--ink); }
table { border-collapse: collapse; font-size: .92rem; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; font-variant-numeric: tabular-nums; }
tbody th { font-weight: normal; white-space: nowrap; }
details { margin: .6rem 0; }
summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; background: var(--shade); padding: .6rem; }
@media print {
  :root { --paper: #ffffff; --ink: #000000; --quiet: #333333; --line: #999999; --shade: #ffffff;
    --blue: #0072B2; }
  main { max-width: none; padding: 0; }
  body { font-size: 10.5pt; }
  figure svg { min-width: 0 !important; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
}
"""
