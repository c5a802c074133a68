"""The functional system test: plan → cases, run against a deployment or a lab → record, signed and printed."""
