"""Ringfence: an open voice-network policy controller."""

__version__ = "0.1.0"
