#!/bin/sh
# The compiler as cargo calls it for the crates of this workspace while it builds the tests (RUSTC_WORKSPACE_WRAPPER):
# Clippy compiles and lints in one pass; a warning is an error.
exec clippy-driver "$@" -D warnings
