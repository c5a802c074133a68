"""Proof of enforcement (E7): what ENUM servers decided, beside what probes saw the SBCs do.

question (what is asked) → matching (SQL: decisions to calls, a verdict for each call) → report (words for people).
The rules by which a decision belongs to a call stand in `matching`.
"""
