"""A real SBC: Kamailio and SIPp, where this machine has them."""
