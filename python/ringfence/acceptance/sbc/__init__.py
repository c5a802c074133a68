"""An SBC as ENUM servers see one: what it asks, whom, how long it waits, and what it does with the answer."""
