"""The containers that the embedded engine serves."""
