"""`code_version` under the path that scripts know."""

from hxtorch.snn.training.code_version import code_version

__all__ = ["code_version"]
