"""People and programs: who they are (people, credentials), what they may do (roles), what they did (audit)."""
