"""Results in the formats of others: pyhf JSON, ROOT with a Combine datacard, HEPData YAML, histograms in the open."""

from jepa_coffea.bumphunt.exports.combine import write_combine
from jepa_coffea.bumphunt.exports.hepdata import HEPDataColumn, HEPDataTable, write_hepdata
from jepa_coffea.bumphunt.exports.histograms import read_hists, write_hists
from jepa_coffea.bumphunt.exports.tables import (
    CountingResult,
    limit_table,
    scan_table,
    significance_table,
    spectrum_table,
)
from jepa_coffea.bumphunt.exports.workspace import pyhf_significance, workspace, write_workspace

__all__ = [
    "CountingResult",
    "HEPDataColumn",
    "HEPDataTable",
    "limit_table",
    "pyhf_significance",
    "read_hists",
    "scan_table",
    "significance_table",
    "spectrum_table",
    "workspace",
    "write_combine",
    "write_hepdata",
    "write_hists",
    "write_workspace",
]
