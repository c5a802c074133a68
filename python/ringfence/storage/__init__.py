"""What the database keeps and for how long, and where older calls are: retention, archive, distribution.

partitions and disk (`disk`) → what goes, and why (`retention`, pure) → archived first (`archive`) → dropped (`expiry`)
one round after the other, by the leader (`keeper`); what of it is shown (`report`); asking old days (`places`, `reach`)
"""
