"""Captures of others: a pcap file becomes the calls in it, a summary, ladders and a pcap again (CLI, API, console).

file ─► reading (native reader, progress, cancel) ─► calls ─┬─► summary
                                                            └─► ladder ─► SVG, pcap
"""
