"""sm_magics."""
