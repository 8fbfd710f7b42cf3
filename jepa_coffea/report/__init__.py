"""The report: one HTML file that holds everything needed to judge a result, and can be mailed as it is."""

from jepa_coffea.report.html import Check, Report, ReportFigure, ReportSection, ReportTable, write_report

__all__ = ["Check", "Report", "ReportFigure", "ReportSection", "ReportTable", "write_report"]
