"""The HTML template and the style sheet of the report page, which load nothing from other places."""

STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --muted: #616e7c; --line: #d9dee4;
        --back: #fbfcfd; --card: #ffffff; --accent: #d1382c; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ec; --muted: #9aa5b1; --line: #3a444f; --back: #14181d; --card: #1c2228; --accent: #ff7a6b; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.2rem 4rem; max-width: 62rem; background: var(--back); color: var(--ink);
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .7rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
          padding: 1.1rem 1.3rem; margin-top: 1.2rem; }
ul { padding-left: 1.2rem; }
.note, footer { color: var(--muted); font-size: .88rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .9rem .28rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child th, tr:last-child td { border-bottom: 0; }
.pairs th { font-weight: 400; color: var(--muted); white-space: nowrap; }
.pairs td { overflow-wrap: anywhere; min-width: 8.5rem; } /* a number is narrower, so that only long names are broken */
.cost td, .cost tr:first-child th { text-align: right; }
.cost td { white-space: nowrap; }
.cost th { font-weight: 400; }
.scroll { overflow-x: auto; }
.learned th, .learned td { color: var(--accent); font-weight: 600; }
img, video { display: block; width: 100%; height: auto; background: white; border-radius: 6px; }
summary { cursor: pointer; }
footer { margin-top: 1.5rem; }
@media (max-width: 40rem) { /* a phone: less margin, labels wrap, and figures keep a size at which they can be read */
  body { padding: 1.2rem .7rem 3rem; }
  h1 { font-size: 1.4rem; }
  section { padding: .9rem .9rem; }
  th, td { padding-right: .7rem; }
  .pairs th { white-space: normal; }
  .cost th:first-child { overflow-wrap: anywhere; min-width: 8.2rem; position: sticky; left: 0; background: var(--card); }
  .scroll img { width: 40rem; max-width: none; }
}
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p class="note">A time step for gravitational N-body simulation: what it costs, and what others cost.</p>
{body}
<footer>aitimestepper {version}</footer>
</body>
</html>
"""
