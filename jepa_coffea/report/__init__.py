"""The report: one HTML file that holds everything needed to judge a result, and can be mailed as it is."""

from jepa_coffea.report.conclusion import Gate, conclude
from jepa_coffea.report.html import Figure, Report, Section, Table, versions, write_report

__all__ = ["Figure", "Gate", "Report", "Section", "Table", "conclude", "versions", "write_report"]
