"""Events of any format to canonical constituents: one file per layout, one record for all of them."""
