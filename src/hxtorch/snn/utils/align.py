"""`align` under the path that scripts know."""

from hxtorch.snn.alignment.align import LayerAlignment, align

__all__ = ["LayerAlignment", "align"]
