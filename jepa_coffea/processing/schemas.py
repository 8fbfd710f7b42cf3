"""coffea's schemas without a warning for each of the dozens of cross-references that reduced files lack."""

from coffea.nanoevents import DelphesSchema, NanoAODSchema, PFNanoAODSchema


class PFNano(PFNanoAODSchema):
    """PFNano."""

    warn_missing_crossrefs = False


class NanoAOD(NanoAODSchema):
    """NanoAOD, v15 for constituents."""

    warn_missing_crossrefs = False


SCHEMAS = {"pfnano": PFNano, "nanoaod": NanoAOD, "delphes": DelphesSchema}
"""By the name of the layout."""
