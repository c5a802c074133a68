"""Reading logs again: `lines` turns text into entries (pure), `files` and `journal` are where the text is.

Written they are by `ringfence.log`. For `ringfence logs`.
"""
