"""Lists that are kept: millions of entries with notes and ends, at revisions, apart from the policy that names them.

catalogue   the lists themselves                     contents   what edges get, by its hash
entries     search, add, edit, remove, by revision   bulk       files in and out, all or nothing
feeds       lists fed from a URL                     commit     a list's change as a policy version
"""
