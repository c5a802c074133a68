-- A call is looked for by its Call-ID: a Bloom filter for each megabyte of calls, an octet and a half a call. A B-tree
-- would take forty, and slow ingest down; what is looked for is read in whole from the few ranges that may have it.
-- A range holds at most 4,096 calls: rows of dataset SIP take more than 250 octets.
CREATE INDEX sip_event_call_id ON sip_event USING brin
    (call_id text_bloom_ops (n_distinct_per_range = 4096, false_positive_rate = 0.01))
    WITH (pages_per_range = 128, autosummarize = on);
