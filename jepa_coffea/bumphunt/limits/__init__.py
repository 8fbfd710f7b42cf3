"""Upper limits by the CLs method: of counted events, of a window's bins, and of a resonance against mass or width."""

from jepa_coffea.bumphunt.limits.counting_limit import counting_limit
from jepa_coffea.bumphunt.limits.limit import Limit, LimitCurve, limit_curve
from jepa_coffea.bumphunt.limits.spectrum_limits import mass_limits, width_limits
from jepa_coffea.bumphunt.limits.window import cls_limit

__all__ = ["Limit", "LimitCurve", "cls_limit", "counting_limit", "limit_curve", "mass_limits", "width_limits"]
