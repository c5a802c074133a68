"""Availability: backups, restore and the standby; what survives the loss of a site.

active:   database, configuration, edges ──backup──► archive (manifest, checksums, seal) ──► shelf of the last N
standby:  archive ──sync (API or rsync)──► own shelf ──restore──► own database, started for the import only
          or: WAL ──streaming through ssh──► own database in recovery ──promote──► active
"""
