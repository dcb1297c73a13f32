"""The red-team suite that ships: hostile and broken edits, tried as an agent would; a named layer must stop each.

attempts/: one file an attempt; attempt: what such a file says; place: the throw-away folder and what lies in it to be
stolen; course: the commands that are tried; effects: what got out; verdict: who stopped it; suite: all of them.
"""
