"""The report of an experiment: one HTML file that needs nothing else."""

from hxtorch.snn.report.report import Curves, experiment_html, report_html, write_report

__all__ = ["Curves", "experiment_html", "report_html", "write_report"]
