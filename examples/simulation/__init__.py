"""Simulated collisions: Pythia 8, a parametric CMS-like detector, AK8 jets, as PFNano events or JetClass jets."""
