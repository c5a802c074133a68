"""The record on paper: one document of plain values, printed as PDF (Typst) and as HTML (R25)."""
