"""Small pieces of HTML and SVG, for notebooks and for the report of an experiment.

Colours follow the page, so that everything is readable on white and on dark.
"""

from hxtorch._html.parts import details, escape, facts, note, table
from hxtorch._html.svg import Series, bars, lines, raster, strip

__all__ = ["Series", "bars", "details", "escape", "facts", "lines", "note", "raster", "strip", "table"]
